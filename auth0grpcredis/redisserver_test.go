package auth0grpcredis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// patience limits the wait for an event that must happen. It ends a test that
	// hangs, and no test asserts it.
	patience = 2 * time.Minute

	// testTimeout is the Timeout of feeds and stores that no test cuts off. A slow
	// machine is no outage.
	testTimeout = 30 * time.Second
)

// figuresEnv has the tests enforce the times that they measure. That takes a quiet
// machine.
const figuresEnv = "AUTH0GRPCREDIS_TEST_FIGURES"

// checkFigure logs how long something took beside its bound, which it enforces only
// with figuresEnv.
func checkFigure(tb testing.TB, what string, took, limit time.Duration) {
	tb.Helper()
	took, limit = took.Round(time.Millisecond), limit.Round(time.Millisecond)
	tb.Logf("%s: %v (bound %v)", what, took, limit)
	if os.Getenv(figuresEnv) != "" && took > limit {
		tb.Errorf("%s: %v, want at most %v", what, took, limit)
	}
}

// A redisServer is a redis-server process of this test.
type redisServer struct {
	address string
	options []string
	cmd     *exec.Cmd
	exited  chan struct{}
}

// startRedis starts redis-server on a free port, without persistence, and ends
// it with the test. It skips the test where there is no redis-server.
func startRedis(tb testing.TB, options ...string) *redisServer {
	tb.Helper()
	return startServer(tb, func() []string { return options })
}

// startServer is startRedis with options that are made for each attempt.
func startServer(tb testing.TB, options func() []string) *redisServer {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Skip("redis-server is not installed; the script test in this directory installs it")
	}
	dir := tb.TempDir()
	for range 5 { // another process may get the port first
		port := freePort(tb)
		s := &redisServer{address: "127.0.0.1:" + port, options: append([]string{
			"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no",
			"--repl-diskless-sync-delay", "0", // no five seconds for further replicas
		}, options()...)}
		err := s.start(tb)
		if err == nil {
			tb.Cleanup(s.stop)
			return s
		}
		tb.Logf("redis-server on %s: %v", s.address, err)
	}
	tb.Fatal("redis-server does not start")
	return nil
}

// freeAddress returns an address that is free now. Its port is below those that
// systems give to outgoing connections: one of them could take the port of a server
// that is down, or connect to itself there.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	var err error
	for range 100 {
		var listener net.Listener
		listener, err = net.Listen("tcp", fmt.Sprint("127.0.0.1:", 11_000+rand.N(20_000)))
		if err == nil {
			listener.Close()
			return listener.Addr().String()
		}
	}
	tb.Fatal(err)
	return ""
}

// freePort is the port of a freeAddress.
func freePort(tb testing.TB) string {
	tb.Helper()
	_, port, _ := net.SplitHostPort(freeAddress(tb))
	return port
}

// start runs the server and waits until it answers.
func (s *redisServer) start(tb testing.TB) error {
	tb.Helper()
	s.cmd = exec.Command("redis-server", s.options...)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(s.cmd, s.exited)

	client := redis.NewClient(&redis.Options{Addr: s.address, ContextTimeoutEnabled: true, DialerRetries: 1})
	defer client.Close()
	deadline, tick := time.After(patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.exited:
			return errors.New("exited")
		case <-deadline:
			s.stop()
			return errors.New("no PONG in time")
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			err := client.Ping(ctx).Err()
			cancel()
			// A server that wants a password first answers as well.
			if err == nil || redis.IsAuthError(err) {
				return nil
			}
		}
	}
}

// stop kills the server, as a power cut would, and waits for its end.
func (s *redisServer) stop() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// restart starts a stopped server again on its port.
func (s *redisServer) restart(tb testing.TB) {
	tb.Helper()
	if err := s.start(tb); err != nil {
		tb.Fatalf("redis-server does not start again: %v", err)
	}
}

// client returns a client of the server, after the changes to its options.
func (s *redisServer) client(tb testing.TB, changes ...func(*redis.Options)) *redis.Client {
	tb.Helper()
	options := &redis.Options{Addr: s.address, ContextTimeoutEnabled: true}
	for _, change := range changes {
		change(options)
	}
	client := redis.NewClient(options)
	tb.Cleanup(func() { client.Close() })
	return client
}

// hangingServer accepts connections and never says a word.
func hangingServer(tb testing.TB) *redisServer {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { listener.Close() })
	return &redisServer{address: listener.Addr().String()} // the kernel accepts
}

// withoutDeadlines removes the deadlines of a client, except for deadlines of contexts.
func withoutDeadlines(options *redis.Options) {
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = time.Hour, time.Hour, time.Hour, time.Hour
}

// eventually waits until a condition holds.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	deadline, tick := time.After(patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("still not: %s", what)
		}
	}
}

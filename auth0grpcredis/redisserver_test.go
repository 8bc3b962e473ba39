package auth0grpcredis

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience is how long a test waits for an immediate effect.
const patience = 20 * time.Second

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
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Skip("redis-server is not installed; the script test in this directory installs it")
	}
	dir := tb.TempDir()
	for range 5 { // another process may get the port first
		address := freeAddress(tb)
		_, port, _ := net.SplitHostPort(address)
		s := &redisServer{address: address, options: append([]string{
			"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no",
		}, options...)}
		err := s.start(tb)
		if err == nil {
			tb.Cleanup(s.stop)
			return s
		}
		tb.Logf("redis-server on %s: %v", address, err)
	}
	tb.Fatal("redis-server does not start")
	return nil
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
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
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
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

// eventually waits for a condition that should come to hold at once.
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

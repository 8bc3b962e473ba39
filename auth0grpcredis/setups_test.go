package auth0grpcredis

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// setupsEnv runs the tests that need a Redis Cluster or Sentinels. They take
// minutes, so plain "go test" leaves them out and the script test sets it.
const setupsEnv = "AUTH0GRPCREDIS_TEST_SETUPS"

func needSetups(tb testing.TB) {
	tb.Helper()
	if os.Getenv(setupsEnv) == "" {
		tb.Skipf("takes long; the script test in this directory runs it, as does %s=1", setupsEnv)
	}
}

// crash kills a server and hang stops it, as a machine would that is out of
// memory: it keeps its connections and answers nothing.
func (s *redisServer) hang(tb testing.TB) {
	tb.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.cmd.Process.Signal(syscall.SIGCONT) })
}

func (s *redisServer) port() string {
	_, port, _ := net.SplitHostPort(s.address)
	return port
}

// A redisCluster is a Cluster of three masters, each with one replica.
type redisCluster struct {
	servers []*redisServer // the masters first
}

// The servers find a failure within detectTime, but only from detectFailures on.
// Until then they are patient, as a slow machine would look like a failure.
const (
	detectTime  = 2 * time.Second
	patientTime = 2 * patience
)

func startCluster(tb testing.TB) *redisCluster {
	tb.Helper()
	c := &redisCluster{}
	for range 6 {
		c.servers = append(c.servers, startServer(tb, func() []string {
			return []string{"--cluster-enabled", "yes", "--cluster-port", freePort(tb),
				"--cluster-node-timeout", fmt.Sprint(patientTime.Milliseconds()), "--cluster-replica-validity-factor", "0"}
		}))
	}
	ctx := tb.Context()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	admins := make([]*redis.Client, len(c.servers))
	for i, s := range c.servers {
		admins[i] = s.client(tb)
	}
	// As redis-cli does: servers that start with equal epochs raise them one by one. If a
	// master dies before its replica has learned the last one, no election succeeds.
	for i, admin := range admins {
		must(admin.Do(ctx, "cluster", "set-config-epoch", i+1).Err())
	}
	for i := range 3 {
		must(admins[i].ClusterAddSlotsRange(ctx, i*16384/3, (i+1)*16384/3-1).Err())
	}
	for i, s := range c.servers[1:] {
		options := admins[i+1].ConfigGet(ctx, "cluster-port").Val()
		must(admins[0].Do(ctx, "cluster", "meet", "127.0.0.1", s.port(), options["cluster-port"]).Err())
	}
	for i := range 3 {
		id := admins[i].ClusterMyID(ctx).Val()
		eventually(tb, "the replica knows its master", func() bool {
			return admins[i+3].ClusterReplicate(ctx, id).Err() == nil
		})
	}
	for i, admin := range admins {
		eventually(tb, "the cluster is complete", func() bool {
			info := admin.ClusterInfo(ctx).Val()
			replication := admin.Info(ctx, "replication").Val()
			linked := strings.Contains(replication, "connected_slaves:1") || i >= 3 && strings.Contains(replication, "master_link_status:up")
			return linked && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:6") &&
				strings.Count(admin.ClusterNodes(ctx).Val(), "slave ") == 3
		})
	}
	return c
}

// detectFailures has the servers find the next failure soon.
func (c *redisCluster) detectFailures(tb testing.TB) {
	tb.Helper()
	for _, s := range c.servers {
		if err := s.client(tb).ConfigSet(tb.Context(), "cluster-node-timeout", fmt.Sprint(detectTime.Milliseconds())).Err(); err != nil {
			tb.Fatal(err)
		}
	}
}

// client returns a client that does not reload the table of slots by itself.
func (c *redisCluster) client(tb testing.TB) *redis.ClusterClient {
	tb.Helper()
	var addresses []string
	for _, s := range c.servers {
		addresses = append(addresses, s.address)
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses, ContextTimeoutEnabled: true, ClusterStateReloadInterval: time.Hour})
	tb.Cleanup(func() { client.Close() })
	return client
}

// masterOf returns the master and the replica that hold a key.
func (c *redisCluster) masterOf(tb testing.TB, key string) (master, replica *redisServer) {
	tb.Helper()
	client, err := c.client(tb).MasterForKey(tb.Context(), key)
	if err != nil {
		tb.Fatal(err)
	}
	for i, s := range c.servers[:3] {
		if s.address == client.Options().Addr {
			return s, c.servers[i+3]
		}
	}
	tb.Fatalf("no server has the address %s", client.Options().Addr)
	return nil, nil
}

// recovers returns how long it takes until the server accepts a write of a key.
func (s *redisServer) recovers(tb testing.TB, key string) <-chan time.Duration {
	tb.Helper()
	client, began, done := s.client(tb), time.Now(), make(chan time.Duration, 1)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			err := client.HSet(ctx, key, "test", "1").Err()
			cancel()
			if err == nil || redis.HasErrorPrefix(err, "WRONGTYPE") { // it looked the key up
				done <- time.Since(began)
				return
			}
			if time.Since(began) > patience {
				return
			}
		}
	}()
	return done
}

// A sentinelGroup is a primary with two replicas and three Sentinels.
type sentinelGroup struct {
	servers   []*redisServer // the primary first
	sentinels []string
}

func startSentinels(tb testing.TB) *sentinelGroup {
	tb.Helper()
	g := &sentinelGroup{servers: []*redisServer{startRedis(tb)}}
	for range 2 {
		g.servers = append(g.servers, startRedis(tb, "--replicaof", "127.0.0.1 "+g.servers[0].port()))
	}
	primary := g.servers[0].client(tb)
	eventually(tb, "both replicas are linked", func() bool {
		return strings.Contains(primary.Info(tb.Context(), "replication").Val(), "connected_slaves:2")
	})
	for range 3 {
		g.sentinels = append(g.sentinels, startSentinel(tb, g.servers[0].port()))
	}
	for _, address := range g.sentinels {
		sentinel := redis.NewSentinelClient(&redis.Options{Addr: address})
		tb.Cleanup(func() { sentinel.Close() })
		eventually(tb, "the Sentinel knows the others", func() bool {
			state, err := sentinel.Master(tb.Context(), "main").Result()
			return err == nil && state["num-other-sentinels"] == "2" && state["num-slaves"] == "2"
		})
	}
	return g
}

// startSentinel starts a Sentinel for the primary at a port, and returns its address.
func startSentinel(tb testing.TB, primary string) string {
	tb.Helper()
	dir := tb.TempDir()
	for range 5 { // another process may get the port first
		port := freePort(tb)
		file := filepath.Join(dir, port+".conf")
		config := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor main 127.0.0.1 %s 2\n"+
			"sentinel down-after-milliseconds main %d\nsentinel failover-timeout main 10000\n", port, dir, primary, patientTime.Milliseconds())
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			tb.Fatal(err)
		}
		s := &redisServer{address: "127.0.0.1:" + port, options: []string{file, "--sentinel"}}
		err := s.start(tb)
		if err == nil {
			tb.Cleanup(s.stop)
			return s.address
		}
		tb.Logf("Sentinel on %s: %v", s.address, err)
	}
	tb.Fatal("the Sentinel does not start")
	return ""
}

// detectFailures has the Sentinels find the next failure soon.
func (g *sentinelGroup) detectFailures(tb testing.TB) {
	tb.Helper()
	for _, address := range g.sentinels {
		sentinel := redis.NewSentinelClient(&redis.Options{Addr: address})
		defer sentinel.Close()
		if err := sentinel.Set(tb.Context(), "main", "down-after-milliseconds", fmt.Sprint(detectTime.Milliseconds())).Err(); err != nil {
			tb.Fatal(err)
		}
	}
}

func (g *sentinelGroup) client(tb testing.TB) *redis.Client {
	tb.Helper()
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: "main", SentinelAddrs: g.sentinels, ContextTimeoutEnabled: true,
	})
	tb.Cleanup(func() { client.Close() })
	return client
}

package auth0grpcredis

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// documentedRights returns the ACL of docs/redis.md as the arguments of a command.
func documentedRights(tb testing.TB) []any {
	tb.Helper()
	page, err := os.ReadFile("../docs/redis.md")
	if err != nil {
		tb.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "    ACL SETUSER orders ")
	block, _, found := strings.Cut(after, "\n\n")
	if !found {
		tb.Fatal("docs/redis.md has no ACL")
	}
	args := []any{"acl", "setuser", "orders"}
	for _, rule := range strings.Fields(block) {
		args = append(args, rule)
	}
	return args
}

// checkRights runs a feed and a store as the documented user, and asserts that
// the servers refused nothing.
func checkRights(t *testing.T, client redis.UniversalClient, admins []*redis.Client, minReplicas int) {
	t.Helper()
	feed := newFeed(t, client, FeedConfig{MinReplicas: minReplicas, Timeout: 5 * time.Second})
	w := followManually(t, feed)
	for range 3 {
		publish(t, feed, bySubject("s"))
		w.trimAt = time.Time{}
		step(t, w.follower)
	}
	w.startOver(true)
	admins[0].Del(t.Context(), defaultStream) // or MOVED
	for range 3 {
		step(t, w.follower)
	}
	if stats := feed.Stats(); stats.TrimError != nil {
		t.Errorf("trim: %v", stats.TrimError)
	}
	store := newStore(t, client, ReplayConfig{})
	for i, want := range []bool{true, false} {
		if first, err := store.Use(t.Context(), "jti", time.Now().Add(time.Hour)); first != want || err != nil {
			t.Errorf("Use %d = %t, %v", i, first, err)
		}
	}
	store.link.repair()
	for _, admin := range admins {
		log, err := admin.ACLLog(t.Context(), 100).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range log {
			// go-redis asks for notifications that Redis 7.0 does not know.
			if !strings.HasPrefix(entry.Object, "client|maint") && entry.Object != "client" {
				t.Errorf("refused: %s %s (%s)", entry.Reason, entry.Object, entry.Context)
			}
		}
	}
}

func TestRights(t *testing.T) {
	server := startRedis(t)
	admin := server.client(t)
	if err := admin.Do(t.Context(), documentedRights(t)...).Err(); err != nil {
		t.Fatal(err)
	}
	startRedis(t, "--replicaof", "127.0.0.1 "+server.port())
	eventually(t, "the replica is linked", func() bool {
		return strings.Contains(admin.Info(t.Context(), "replication").Val(), "state=online")
	})
	user := server.client(t, func(o *redis.Options) { o.Username, o.Password = "orders", "PASSWORD" })
	checkRights(t, user, []*redis.Client{admin}, 1)
}

func TestClusterRights(t *testing.T) {
	needSetups(t)
	cluster := startCluster(t)
	var admins []*redis.Client
	var addresses []string
	for _, server := range cluster.servers {
		admin := server.client(t)
		if err := admin.Do(t.Context(), documentedRights(t)...).Err(); err != nil {
			t.Fatal(err)
		}
		admins, addresses = append(admins, admin), append(addresses, server.address)
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addresses, ContextTimeoutEnabled: true, Username: "orders", Password: "PASSWORD",
	})
	t.Cleanup(func() { client.Close() })
	checkRights(t, client, admins, 1)
}

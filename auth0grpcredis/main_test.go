package auth0grpcredis

import (
	"fmt"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// TestMain runs the tests or, in a process that a test started, a server.
func TestMain(m *testing.M) {
	redis.SetLogger(&logging.VoidLogger{}) // it tells of each failure that a test provokes
	if text, ok := os.LookupEnv(replicaEnv); ok {
		if err := runReplica(text); err != nil {
			fmt.Fprintln(os.Stderr, "replica:", err)
			os.Exit(1)
		}
		return
	}
	if text, ok := os.LookupEnv(eventProcessEnv); ok {
		if err := runEventProcess(text); err != nil {
			fmt.Fprintln(os.Stderr, "event process:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

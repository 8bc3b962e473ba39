package auth0grpcredis

import (
	"errors"

	"github.com/redis/go-redis/v9"
)

var (
	errNoClient = errors.New("auth0grpcredis: the client is nil")
	errTimeouts = errors.New("auth0grpcredis: the client ignores the deadlines of contexts; set ContextTimeoutEnabled in its options")
)

// checkClient returns what is wrong with a client. go-redis leaves deadlines of
// contexts alone unless told otherwise, and a Redis that hangs would then hold
// each call for some 20 seconds. A type of somebody else's cannot be looked into.
func checkClient(client redis.UniversalClient) error {
	kept := true
	switch client := client.(type) {
	case nil:
		return errNoClient
	case *redis.Client:
		kept = client.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		kept = client.Options().ContextTimeoutEnabled
	case *redis.Ring:
		kept = client.Options().ContextTimeoutEnabled
	}
	if !kept {
		return errTimeouts
	}
	return nil
}

package auth0grpcredis

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A passingHook lets connections and pipelines pass. Other hooks embed it.
type passingHook struct{}

func (passingHook) DialHook(next redis.DialHook) redis.DialHook { return next }
func (passingHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A failingHook makes the commands of a name fail, also in a pipeline.
type failingHook struct {
	passingHook
	name string // "": none
	err  error
	call func() // with each command that fails, if set
}

var errHook = errors.New("the network is down")

// A replyError is an error that a server sends.
type replyError string

func (e replyError) Error() string { return string(e) }
func (e replyError) RedisError()   {}

func (h *failingHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == h.name {
			if h.call != nil {
				h.call()
			}
			cmd.SetErr(h.err)
			return h.err
		}
		return next(ctx, cmd)
	}
}
func (h *failingHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == h.name {
			return h.err
		}
		return next(ctx, cmds)
	}
}

// failAtCommand calls run once for each way in which a command fails. run must report
// the error, and whether a repair of the connections began.
func failAtCommand(t *testing.T, command string, run func(t *testing.T, ctx context.Context, client *redis.Client) (repaired bool, err error)) {
	t.Helper()
	for _, test := range []struct {
		name   string
		err    error
		ends   bool // the context of the caller
		repair bool
	}{
		{"the network", errHook, false, true},
		{"a refusal", replyError("NOPERM"), false, false},
		{"the caller", errHook, true, false},
	} {
		t.Run(command+"/"+test.name, func(t *testing.T) {
			client := startRedis(t).client(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			hook := &failingHook{name: command, err: test.err}
			if test.ends {
				hook.call = cancel
			}
			client.AddHook(hook)
			repaired, err := run(t, ctx, client)
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			if repaired != test.repair {
				t.Errorf("a repair began: %t, want %t", repaired, test.repair)
			}
		})
	}
}

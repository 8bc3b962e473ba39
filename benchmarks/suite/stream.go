package suite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// Levels of the streams that end with their token. All run over bufconn.
const (
	Opening = "opening, one message and the end of a stream"
	Message = "a message there and back on an open stream"
	Piped   = "the same, with many on their way"
)

// Kinds of streams at each level.
const (
	OpenStream  = "open stream"
	Protected   = "protected stream"
	ProtectedRO = "protected stream that runs on"
)

// StreamCases returns calls on streams that end with their token, and on a server
// without authentication. Both receive the token.
func (s *Suite) StreamCases() ([]Case, error) {
	ctx := outgoing(s.Token("RS256", Small))
	var all []Case
	for _, level := range []struct {
		name  string
		bench func(context.Context, *rig) func(*testing.B)
	}{
		{Opening, func(ctx context.Context, r *rig) func(*testing.B) {
			return func(b *testing.B) { inParallel(b, func() error { return openStream(ctx, r.client) }) }
		}},
		{Message, thereAndBack},
		{Piped, pipelined},
	} {
		for _, kind := range []string{OpenStream, Protected, ProtectedRO} {
			p, err := s.streamPeer(kind)
			if err != nil {
				return nil, err
			}
			r, err := newRig(p, inMemory)
			if err != nil {
				return nil, err
			}
			s.closes = append(s.closes, r.close)
			if err := openStream(ctx, r.client); err != nil {
				return nil, fmt.Errorf("suite: %s: %w", kind, err)
			}
			all = append(all, Case{level.name, kind, "RS256", Small, level.bench(ctx, r)})
		}
	}
	return all, nil
}

func (s *Suite) streamPeer(kind string) (*peer, error) {
	switch kind {
	case Protected:
		return s.newPeer(Warm, "RS256")
	case ProtectedRO:
		return s.newOurs(auth0grpc.Config{StreamPolicy: auth0grpc.IgnoreExpiry()}, "RS256", s.newIssuerClient("RS256"))
	}
	return s.newPeer(NoAuth, "RS256")
}

// thereAndBack sends messages on one stream and waits for each answer.
func thereAndBack(ctx context.Context, r *rig) func(*testing.B) {
	return func(b *testing.B) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := r.client.FullDuplexCall(ctx)
		if err != nil {
			b.Fatal(err)
		}
		request, response := &testgrpc.StreamingOutputCallRequest{}, &testgrpc.StreamingOutputCallResponse{}
		b.ReportAllocs()
		for b.Loop() {
			if err := errors.Join(stream.SendMsg(request), stream.RecvMsg(response)); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// pipelined sends messages without waiting for the answers.
func pipelined(ctx context.Context, r *rig) func(*testing.B) {
	return func(b *testing.B) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := r.client.FullDuplexCall(ctx)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		b.ResetTimer()
		go func() {
			request := &testgrpc.StreamingOutputCallRequest{}
			for range b.N {
				if stream.SendMsg(request) != nil {
					return // RecvMsg has the error
				}
			}
		}()
		response := &testgrpc.StreamingOutputCallResponse{}
		for range b.N {
			if err := stream.RecvMsg(response); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// An IdleResult is the cost of idle streams, for client and server together.
type IdleResult struct {
	Streams    int
	Heap       int64 // bytes
	Stacks     int64 // bytes
	Goroutines int
	// LastEnd is the time from the expiry of the common token to the end of the last
	// stream at its client. It is 0 for streams that are not protected.
	LastEnd time.Duration
}

// Idle opens many streams with one token of the given lifetime, and waits for their end
// if they are protected. It fails if the lifetime is too short to open them all.
func (s *Suite) Idle(kind string, streams int, life time.Duration) (IdleResult, error) {
	p, err := s.streamPeer(kind)
	if err != nil {
		return IdleResult{}, err
	}
	r, err := newRig(p, inMemory)
	if err != nil {
		return IdleResult{}, err
	}
	defer r.close()
	expiry := time.Now().Add(life)
	c := claims(s.tenant.Issuer(), 1, "")
	c["exp"] = float64(expiry.UnixMilli()) / 1e3
	ctx, cancel := context.WithCancel(outgoing(s.tenant.Sign(nil, c)))
	defer cancel()
	for range 10 { // warms the connection and the cache
		if err := openStream(ctx, r.client); err != nil {
			return IdleResult{}, err
		}
	}
	before := footprint()
	open := make([]testgrpc.TestService_FullDuplexCallClient, streams)
	for i := range open {
		if open[i], err = r.client.FullDuplexCall(ctx); err != nil {
			return IdleResult{}, err
		}
		// One message and its answer, so that the handler certainly runs.
		if err := errors.Join(open[i].Send(&testgrpc.StreamingOutputCallRequest{}), first(open[i].Recv())); err != nil {
			return IdleResult{}, fmt.Errorf("suite: idle stream %d: %w", i, err)
		}
	}
	after := footprint()
	result := IdleResult{
		Streams: streams, Heap: after.Heap - before.Heap, Stacks: after.Stacks - before.Stacks,
		Goroutines: after.Goroutines - before.Goroutines,
	}
	if time.Now().After(expiry) {
		return IdleResult{}, fmt.Errorf("suite: %v is too short a life to open %d streams", life, streams)
	}
	if kind == Protected {
		result.LastEnd, err = lastEnd(open, expiry)
	}
	return result, err
}

// lastEnd waits for the end of all streams and returns the delay of the last one after
// the expiry.
func lastEnd(open []testgrpc.TestService_FullDuplexCallClient, expiry time.Time) (time.Duration, error) {
	late, failures := make([]time.Duration, len(open)), make([]error, len(open))
	var group sync.WaitGroup
	for i, stream := range open {
		group.Go(func() {
			_, err := stream.Recv()
			if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonTokenExpired {
				failures[i] = fmt.Errorf("suite: idle stream %d ended otherwise: %w", i, err)
			}
			late[i] = time.Since(expiry)
		})
	}
	group.Wait()
	return slices.Max(late), errors.Join(failures...)
}

func first(_ *testgrpc.StreamingOutputCallResponse, err error) error { return err }

// footprint returns the memory in use after a garbage collection.
func footprint() (r IdleResult) {
	r.Heap = liveHeap()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	r.Stacks, r.Goroutines = int64(stats.StackInuse), runtime.NumGoroutine()
	return r
}

// guard returns auth0grpc itself, for its other methods.
func (s *Suite) guard() (*auth0grpc.Interceptor, error) {
	return auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{s.tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		Methods:    map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Scopes(Scope)},
		HTTPClient: s.tenant.HTTPClient(),
	})
}

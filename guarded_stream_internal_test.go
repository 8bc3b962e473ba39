package auth0grpc

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A plainTransport is a transport stream that takes no status.
type plainTransport struct{}

func (plainTransport) Method() string               { return "/a.B/C" }
func (plainTransport) SetHeader(metadata.MD) error  { return nil }
func (plainTransport) SendHeader(metadata.MD) error { return nil }
func (plainTransport) SetTrailer(metadata.MD) error { return nil }

// A statusTransport takes one, as gRPC's own does.
type statusTransport struct {
	plainTransport
	statuses *[]*status.Status
}

func (t statusTransport) WriteStatus(s *status.Status) error {
	*t.statuses = append(*t.statuses, s)
	return nil
}

// A stream is ended at most once, for the first reason, and not after its handler
// has returned. The client gets one status: from writeStatus, or from gRPC when the
// interceptor returns.
func TestEndOfOneStream(t *testing.T) {
	for name, writes := range map[string]bool{"transport takes a status": true, "transport takes none": false} {
		t.Run(name, func(t *testing.T) {
			var statuses []*status.Status
			open := func() *guardedStream {
				var transport grpc.ServerTransportStream = plainTransport{}
				if writes {
					transport = statusTransport{statuses: &statuses}
				}
				statuses = nil
				return newGuardedStream(grpc.NewContextWithServerTransportStream(context.Background(), transport), "/a.B/C", &caller{claims: new(claims)}, nil)
			}
			described := 0
			closeFor := func(g *guardedStream, reason *refusal) bool { return g.endHandler(reason, func() { described++ }) }
			wantStatuses := func(want int) {
				t.Helper()
				if !writes {
					want = 0
				}
				if len(statuses) != want {
					t.Errorf("%d statuses, want %d", len(statuses), want)
				}
			}

			g := open()
			if !closeFor(g, endedExpired) || closeFor(g, endedRevoked) || described != 1 {
				t.Errorf("ended other than once: described %d times", described)
			}
			if cause := context.Cause(g.ctx); cause != error(endedExpired) || !g.ended.Load() {
				t.Errorf("the context ended with %v, gate shut: %t", cause, g.ended.Load())
			}
			if !writes {
				select {
				case <-g.endedCh:
				default:
					t.Error("serveInGoroutine does not learn of the end")
				}
			} else if g.endedCh != nil {
				t.Error("the handler has a goroutine of its own")
			}
			g.writeStatus()
			wantStatuses(1)
			if reason := g.finish(); reason != endedExpired {
				t.Errorf("finish = %v, want the first reason", reason)
			}
			g.writeStatus()
			wantStatuses(1)

			described = 0
			g = open()
			if reason := g.finish(); reason != nil {
				t.Errorf("finish = %v of a stream that was not ended", reason)
			}
			if closeFor(g, endedExpired) || described != 0 || g.ended.Load() || g.finish() != nil {
				t.Error("ended after its handler had returned")
			}
			g.writeStatus()
			wantStatuses(0)
		})
	}
}

// A second Interceptor behind this one sends the status of its streams, until this one
// has ended the stream.
func TestStatusIsBehindTheGate(t *testing.T) {
	var statuses []*status.Status
	ctx := grpc.NewContextWithServerTransportStream(context.Background(), statusTransport{statuses: &statuses})
	g := newGuardedStream(ctx, "/a.B/C", &caller{claims: new(claims)}, nil)
	inner, ok := grpc.ServerTransportStreamFromContext(g.Context()).(statusWriter)
	if !ok {
		t.Fatal("the transport in the context takes no status")
	}
	if err := inner.WriteStatus(endedRevoked.status); err != nil || len(statuses) != 1 {
		t.Errorf("before the end: %v, %d statuses", err, len(statuses))
	}
	g.endHandler(endedExpired, func() {})
	if err := inner.WriteStatus(endedRevoked.status); err != error(endedExpired) || len(statuses) != 1 {
		t.Errorf("after the end: %v, %d statuses", err, len(statuses))
	}
}

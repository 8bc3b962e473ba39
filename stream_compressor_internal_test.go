package auth0grpc

import (
	"context"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// A status waits for each proof that SetSendCompressor has returned, and is sent once.
func TestProofsOfTheCompressor(t *testing.T) {
	elsewhere := func(f func()) {
		var other sync.WaitGroup
		other.Go(f)
		other.Wait()
	}
	begin := func(g *guardedStream) { g.beginCompressor() }
	for name, test := range map[string]struct {
		before, after  func(*guardedStream) // the end
		waits, settles bool
	}{
		"no compressor":        {func(*guardedStream) {}, func(g *guardedStream) { g.settleCompressor(true) }, false, true},
		"receives":             {begin, func(g *guardedStream) { g.settleCompressor(false) }, true, true},
		"sends":                {begin, func(g *guardedStream) { g.settleCompressor(true) }, true, true},
		"sends twice":          {begin, func(g *guardedStream) { g.settleCompressor(true); g.settleCompressor(true) }, true, true},
		"sends between":        {func(g *guardedStream) { begin(g); g.settleCompressor(true); begin(g) }, func(g *guardedStream) { g.settleCompressor(true) }, true, true},
		"sends before the end": {func(g *guardedStream) { begin(g); g.settleCompressor(true) }, func(*guardedStream) {}, false, true},
		"receives elsewhere":   {begin, func(g *guardedStream) { elsewhere(func() { g.settleCompressor(false) }) }, true, false},
		"sends elsewhere":      {begin, func(g *guardedStream) { elsewhere(func() { g.settleCompressor(true) }) }, true, true},
		"set twice":            {func(g *guardedStream) { begin(g); begin(g) }, func(g *guardedStream) { g.settleCompressor(false) }, true, true},
		"set on two, receives": {func(g *guardedStream) { elsewhere(func() { begin(g) }); begin(g) }, func(g *guardedStream) { g.settleCompressor(false) }, true, false},
		"set on two, sends":    {func(g *guardedStream) { elsewhere(func() { begin(g) }); begin(g) }, func(g *guardedStream) { g.settleCompressor(true) }, true, true},
		"proves nothing":       {begin, func(*guardedStream) {}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			var statuses []*status.Status
			ctx := grpc.NewContextWithServerTransportStream(context.Background(), statusTransport{statuses: &statuses})
			g := newGuardedStream(ctx, "/a.B/C", &caller{claims: new(claims)}, nil)
			test.before(g)
			g.endHandler(endedExpired, func() {})
			g.writeStatus()
			if waits := len(statuses) == 0; waits != test.waits {
				t.Errorf("the status waits: %t, want %t", waits, test.waits)
			}
			if g.beginCompressor() {
				t.Error("a compressor can be set after the end")
			}
			test.after(g)
			want := 0
			if test.settles {
				want = 1
			}
			if len(statuses) != want {
				t.Errorf("%d statuses, want %d", len(statuses), want)
			}
		})
	}
}

// The gate opens for no compressor between the reason and the gate of an end.
func TestCompressorMeetsTheEnd(t *testing.T) {
	g := newGuardedStream(context.Background(), "/a.B/C", &caller{claims: new(claims)}, nil)
	g.endReason = endedExpired
	if g.beginCompressor() {
		t.Error("a compressor can be set during the end")
	}
}

// A transport that takes no status does not seem to take one to a second Interceptor
// behind this one.
func TestTransportWithoutStatus(t *testing.T) {
	ctx := grpc.NewContextWithServerTransportStream(context.Background(), plainTransport{})
	g := newGuardedStream(ctx, "/a.B/C", &caller{claims: new(claims)}, nil)
	if _, ok := grpc.ServerTransportStreamFromContext(g.Context()).(statusWriter); ok {
		t.Error("the transport in the context takes a status")
	}
}

// No form of the line makes two goroutines, or none and one, seem the same.
func TestParseGoroutine(t *testing.T) {
	for line, want := range map[string]int64{
		"goroutine 1 [running]:":          1,
		"goroutine 187 [running]:":        187,
		"goroutine 18":                    18,
		"":                                severalCompressors,
		"goroutine":                       severalCompressors,
		"goroutine x [running]:":          severalCompressors,
		"goroutine 0 [running]:":          severalCompressors,
		"goroutine -7 [running]:":         severalCompressors,
		"goroutine 9223372036854775808 [": severalCompressors,
	} {
		if got := parseGoroutine([]byte(line)); got != want {
			t.Errorf("%q = %d, want %d", line, got, want)
		}
	}
}

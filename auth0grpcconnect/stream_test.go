package auth0grpcconnect

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A fakeStream counts the operations that reach Connect.
type fakeStream struct {
	received, sent int
	err            error
	sending        chan struct{} // is closed by Send, which waits for release
	release        chan struct{}
}

func (f *fakeStream) Receive(any) error { f.received++; return f.err }

func (f *fakeStream) SendHeaders() error { f.sent++; return nil }

func (f *fakeStream) Send(any) error {
	if f.sending != nil {
		close(f.sending)
		<-f.release
	}
	f.sent++
	return nil
}

const method = "/grpc.testing.TestService/FullDuplexCall"

// open returns a stream that was opened with a token, and a function that revokes it.
func open(t *testing.T, ctx context.Context, rule auth0grpc.Rule) (g *guardedStream, fake *fakeStream, guard *auth0grpc.Interceptor, revoke func()) {
	t.Helper()
	tenant := auth0grpctest.NewTenant(t)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{method: rule},
	})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := guard.CheckStream(ctx, auth0grpc.Request{
		FullMethod: method, MessagesFollow: true, Authorization: []string{"Bearer " + tenant.Token(map[string]any{"sub": "auth0|left"})},
	})
	if err != nil {
		t.Fatal(err)
	}
	fake = new(fakeStream)
	return &guardedStream{stream: fake, open: opened}, fake, guard, func() {
		if err := guard.Revoke(context.Background(), auth0grpc.Revocation{Issuer: tenant.Issuer(), Subject: "auth0|left"}); err != nil {
			t.Error(err)
		}
	}
}

func wantReason(t *testing.T, err error, want auth0grpc.Reason) {
	t.Helper()
	var refusal *auth0grpc.Refusal
	if !errors.As(err, &refusal) || refusal.Reason() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// After the end no operation reaches Connect, and each has the reason.
func TestEndedStreamTransfersNothing(t *testing.T) {
	g, fake, _, revoke := open(t, t.Context(), auth0grpc.Authenticated())
	if err := errors.Join(g.Receive(nil), g.SendHeaders(), g.Send(nil)); err != nil || fake.received != 1 || fake.sent != 2 {
		t.Fatalf("before the end: %v, %+v", err, fake)
	}
	revoke()
	for range 2 {
		for _, err := range []error{g.Receive(nil), g.SendHeaders(), g.Send(nil)} {
			wantReason(t, err, auth0grpc.ReasonTokenRevoked)
		}
	}
	if fake.received != 1 || fake.sent != 2 {
		t.Errorf("after the end: %+v", fake)
	}
	// The handler had returned by itself, and the client gets the reason all the same.
	wantReason(t, g.result(new(connect.CallInfo), nil, nil), auth0grpc.ReasonTokenRevoked)
}

// If the client has left, the handler gets the error of the transport.
func TestClientThatLeft(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	g, fake, _, _ := open(t, ctx, auth0grpc.Authenticated())
	leave()
	fake.err = io.ErrUnexpectedEOF
	if err := g.Receive(nil); err != io.ErrUnexpectedEOF {
		t.Errorf("Receive = %v", err)
	}
	err := serveStream(new(connect.CallInfo), connect.Spec{}, g, func(context.Context, connect.Spec, connect.ServerStream) error { return io.ErrNoProgress })
	if err != io.ErrNoProgress {
		t.Errorf("serveStream = %v, want the error of the handler", err)
	}
}

// With rules about the message nothing is sent before the first one has passed.
func TestNothingIsSentBeforeTheFirstMessage(t *testing.T) {
	g, fake, _, _ := open(t, t.Context(), auth0grpc.Authenticated().Same("payload.body", auth0grpc.ClaimSubject))
	wantReason(t, g.Send(new(testgrpc.StreamingOutputCallResponse)), auth0grpc.ReasonNotOwner)
	if fake.sent > 0 {
		t.Error("a message was sent")
	}
}

// The call does not end before a Send that is in progress: Connect forbids a Send after
// the return. Its handler is counted until it returns.
func TestEndWaitsForASend(t *testing.T) {
	g, fake, guard, revoke := open(t, t.Context(), auth0grpc.Authenticated())
	fake.sending, fake.release = make(chan struct{}), make(chan struct{})
	goOn := make(chan struct{})
	returned := make(chan error, 1)
	go func() {
		returned <- serveStream(new(connect.CallInfo), connect.Spec{}, g, func(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
			err := stream.Send(nil)
			<-goOn
			return err
		})
	}()
	<-fake.sending
	revoke()
	for range 1000 { // time for a return that is too soon
		runtime.Gosched()
	}
	if len(returned) > 0 {
		t.Error("the call ended during a Send")
	}
	close(fake.release)
	wantReason(t, <-returned, auth0grpc.ReasonTokenRevoked)
	if stats := guard.Stats(); stats.OpenStreams != 0 || stats.LingeringStreams != 1 {
		t.Errorf("while the handler runs: %d open, %d lingering", stats.OpenStreams, stats.LingeringStreams)
	}
	close(goOn)
	for guard.Stats().LingeringStreams > 0 {
		runtime.Gosched()
	}
}

// The end of a handler by panic or Goexit ends the call.
func TestHandlerThatDoesNotReturn(t *testing.T) {
	g, _, guard, _ := open(t, t.Context(), auth0grpc.Authenticated())
	func() {
		defer func() {
			if text, _ := recover().(string); !strings.Contains(text, "of the handler") {
				t.Errorf("panic %q", text)
			}
		}()
		_ = serveStream(new(connect.CallInfo), connect.Spec{}, g, func(context.Context, connect.Spec, connect.ServerStream) error { panic("of the handler") })
	}()
	if n := guard.Stats().OpenStreams; n != 0 {
		t.Errorf("%d open streams", n)
	}
	g, _, _, _ = open(t, t.Context(), auth0grpc.Authenticated())
	err := serveStream(new(connect.CallInfo), connect.Spec{}, g, func(context.Context, connect.Spec, connect.ServerStream) error {
		runtime.Goexit()
		return nil
	})
	if err == nil {
		t.Error("no error after Goexit")
	}
}

package auth0grpcclient_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
)

// A scriptedStream is a client stream whose sends call a function, and whose
// receptions end in turn.
type scriptedStream struct {
	fakeStream
	send     func() error
	receives []error
}

func (s *scriptedStream) SendMsg(any) error { return s.send() }

func (s *scriptedStream) RecvMsg(any) error {
	err := s.receives[0]
	s.receives = s.receives[1:]
	return err
}

// openScripted opens a stream on inner with credentials. opened counts the attempts.
func openScripted(t *testing.T, c *auth0grpcclient.Credentials, inner *scriptedStream, opened *int) grpc.ClientStream {
	t.Helper()
	streamer := func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
		*opened++
		inner.ctx = ctx
		_, err := authorization(ctx, c)
		return inner, err
	}
	s, err := c.StreamClientInterceptor()(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, nil, "/a.B/C", streamer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRefusalAfterAnEnd shows that the client does not repeat a stream that has answered
// or ended, even if the server claims that no handler ran.
func TestRefusalAfterAnEnd(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]error{"a message": nil, "success": io.EOF, "an error": errors.New("broken")} {
		inner := &scriptedStream{send: func() error { return nil }, receives: []error{first, refuse("TOKEN_EXPIRED"), refuse("TOKEN_EXPIRED")}}
		opened := 0
		s := openScripted(t, newCredentials(t, offline((&fake{}).roundTrip)), inner, &opened)
		if err := s.SendMsg("first"); err != nil {
			t.Fatal(err)
		}
		if err := s.RecvMsg(nil); err != first {
			t.Errorf("%s: %v", name, err)
		}
		for range 2 {
			if err := s.RecvMsg(nil); err == nil || err == io.EOF {
				t.Errorf("after %s: %v, want the refusal", name, err)
			}
		}
		if opened != 1 {
			t.Errorf("after %s: opened %d times, want once", name, opened)
		}
	}
}

// TestErrorsOfSends covers the errors of SendMsg. The end of a stream is hidden only
// while the client may still open it again.
func TestErrorsOfSends(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		err    error
		during func(grpc.ClientStream) // the first send
		want   [2]error                // of the first send and the second
	}{
		"no error":                       {nil, nil, [2]error{nil, nil}},
		"an error of the message":        {broken, nil, [2]error{broken, broken}},
		"the stream is over":             {io.EOF, nil, [2]error{nil, io.EOF}},
		"the stream answered meanwhile":  {io.EOF, func(s grpc.ClientStream) { _ = s.RecvMsg(nil) }, [2]error{io.EOF, io.EOF}},
		"an answer, and a broken stream": {broken, func(s grpc.ClientStream) { _ = s.RecvMsg(nil) }, [2]error{broken, broken}},
	} {
		var s grpc.ClientStream
		sends, opened := 0, 0
		inner := &scriptedStream{receives: []error{nil}, send: func() error {
			if sends++; sends == 1 && test.during != nil {
				test.during(s)
			}
			return test.err
		}}
		s = openScripted(t, newCredentials(t, offline((&fake{}).roundTrip)), inner, &opened)
		for i, want := range test.want {
			if err := s.SendMsg(i); err != want {
				t.Errorf("%s: send %d: %v, want %v", name, i+1, err, want)
			}
		}
	}
}

package auth0grpcclient_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// A fakeStream is a client stream whose sends and receptions end as told.
type fakeStream struct {
	send, receive, closing error
	ctx                    context.Context
	sent                   []any
	closed                 bool
}

func (s *fakeStream) Header() (metadata.MD, error) { return nil, nil }
func (s *fakeStream) Trailer() metadata.MD         { return nil }
func (s *fakeStream) Context() context.Context     { return s.ctx }
func (s *fakeStream) RecvMsg(any) error            { return s.receive }

func (s *fakeStream) SendMsg(m any) error {
	s.sent = append(s.sent, m)
	return s.send
}

func (s *fakeStream) CloseSend() error {
	s.closed = true
	return s.closing
}

// TestStreamsThatFailWhenTheyAreOpenedAgain covers the failures between the refusal of
// a stream and the first response on the next.
func TestStreamsThatFailWhenTheyAreOpenedAgain(t *testing.T) {
	t.Parallel()
	broken, answered := errors.New("broken"), errors.New("answered")
	for name, test := range map[string]struct {
		open error
		next fakeStream
		want error
	}{
		"it opens":              {next: fakeStream{receive: answered}, want: answered},
		"it has ended already":  {next: fakeStream{send: io.EOF, receive: answered}, want: answered},
		"it does not open":      {open: broken, want: broken},
		"it cannot be sent on":  {next: fakeStream{send: broken, receive: answered}, want: broken},
		"it cannot be closed":   {next: fakeStream{closing: broken, receive: answered}, want: broken},
		"it ends with success":  {next: fakeStream{receive: io.EOF}, want: io.EOF},
		"it is refused as well": {next: fakeStream{receive: refuse("TOKEN_EXPIRED")}, want: refuse("TOKEN_EXPIRED")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			c := newCredentials(t, offline(f.roundTrip))
			opened := 0
			next := test.next
			streamer := func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
				opened++
				if _, err := authorization(ctx, c); err != nil {
					return nil, err
				}
				if opened == 1 {
					return &fakeStream{ctx: ctx, receive: refuse("TOKEN_EXPIRED")}, nil
				}
				next.ctx = ctx
				return &next, test.open
			}
			s, err := c.StreamClientInterceptor()(t.Context(), &grpc.StreamDesc{ServerStreams: true}, nil, "/a.B/C", streamer)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.SendMsg("first"), s.CloseSend()); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the end stays the same
				if err := s.RecvMsg(nil); err == nil || err.Error() != test.want.Error() {
					t.Errorf("%v, want %v", err, test.want)
				}
				if test.open != nil || test.want == broken {
					break // the stream inside is the refused one
				}
			}
			if opened != 2 {
				t.Errorf("opened %d times, want 2", opened)
			}
			if test.open == nil && (len(next.sent) != 1 || next.sent[0] != "first") {
				t.Errorf("sent %v again, want the first message", next.sent)
			}
			if test.want != broken && !next.closed {
				t.Error("the next stream is not closed for sending")
			}
		})
	}
}

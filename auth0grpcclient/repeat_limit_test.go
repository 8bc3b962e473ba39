package auth0grpcclient_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
)

// A nonceStream is a client stream that ends with an error and a nonce.
type nonceStream struct {
	fakeStream
	trailer metadata.MD
}

func (s *nonceStream) Trailer() metadata.MD { return s.trailer }

// attempts calls the interceptor of one shape with a server that answers in turn, each
// time with another nonce. own reports whether the call carries the token of c. It returns
// the number of attempts and the error for the caller.
func attempts(t *testing.T, shape string, c *auth0grpcclient.Credentials, own bool, answers []error) (int, error) {
	t.Helper()
	count := 0
	attempt := func(ctx context.Context) (metadata.MD, error) {
		if own {
			if _, err := authorization(ctx, c); err != nil {
				return nil, err
			}
		}
		if count++; count > len(answers) {
			t.Fatalf("attempt %d, after the last answer", count) // an error could cause another one
		}
		return metadata.Pairs("dpop-nonce", fmt.Sprint("n", count)), answers[count-1]
	}
	if shape == "unary" {
		invoke := func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
			nonce, err := attempt(ctx)
			for _, opt := range opts {
				if trailer, ok := opt.(grpc.TrailerCallOption); ok {
					*trailer.TrailerAddr = nonce
				}
			}
			return err
		}
		err := c.UnaryClientInterceptor()(t.Context(), "/a.B/C", nil, nil, nil, invoke)
		return count, err
	}
	streamer := func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
		nonce, err := attempt(ctx)
		return &nonceStream{fakeStream{ctx: ctx, receive: err}, nonce}, nil
	}
	s, err := c.StreamClientInterceptor()(t.Context(), &grpc.StreamDesc{ServerStreams: true}, nil, "/a.B/C", streamer)
	if err == nil {
		err = s.RecvMsg(nil)
	}
	return count, err
}

// TestAttemptsAreFew covers servers that refuse every attempt, long after the attempt
// before, so that no pause between renewals ends the repetitions. A new token and a new
// nonce are each worth one attempt.
func TestAttemptsAreFew(t *testing.T) {
	t.Parallel()
	expired, revoked, nonce := refuse("TOKEN_EXPIRED"), refuse("TOKEN_REVOKED"), refuse("USE_DPOP_NONCE")
	denied, err := status.New(codes.PermissionDenied, "denied").WithDetails(&errdetails.ErrorInfo{
		Reason: "TOKEN_REVOKED", Domain: "auth0grpc", Metadata: map[string]string{"beforeHandler": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		answers []error
		bound   bool // DPoP
		foreign bool // the call carries no token of these credentials
		want    int  // attempts
	}{
		"success":                           {[]error{nil, nil}, false, false, 1},
		"success with a nonce":              {[]error{nil, nil}, true, false, 1},
		"another reason":                    {[]error{refuse("BAD_SIGNATURE"), nil}, false, false, 1},
		"another code":                      {[]error{denied.Err(), nil}, false, false, 1},
		"another token":                     {[]error{expired, nil}, false, true, 1},
		"another token, and a nonce":        {[]error{nonce, nil}, true, true, 1},
		"expired always":                    {[]error{expired, expired, expired}, false, false, 2},
		"revoked always":                    {[]error{revoked, revoked, revoked}, false, false, 2},
		"expired, then revoked":             {[]error{expired, revoked, nil}, false, false, 2},
		"a nonce always":                    {[]error{nonce, nonce, nonce}, true, false, 2},
		"a nonce, without DPoP":             {[]error{nonce, nil}, false, false, 1},
		"expired, then a nonce, both again": {[]error{expired, nonce, expired, nil}, true, false, 3},
		"a nonce, then expired, both again": {[]error{nonce, expired, nonce, nil}, true, false, 3},
		"expired once":                      {[]error{expired, nil}, true, false, 2},
		"a nonce once":                      {[]error{nonce, nil}, true, false, 2},
	} {
		for _, shape := range []string{"unary", "stream"} {
			t.Run(name+"/"+shape, func(t *testing.T) {
				t.Parallel()
				var minutes, tokens atomic.Int64
				kind := "Bearer"
				if test.bound {
					kind = "DPoP"
				}
				config := offline(func(*http.Request) (*http.Response, error) {
					return answer(200, fmt.Sprintf(`{"access_token":"t%d","token_type":%q,"expires_in":86400}`, tokens.Add(1), kind)), nil
				})
				config.DPoP = test.bound
				start := time.Now()
				config.Now = func() time.Time { return start.Add(time.Duration(minutes.Add(1)) * time.Minute) }
				got, err := attempts(t, shape, newCredentials(t, config), !test.foreign, test.answers)
				if want := test.answers[test.want-1]; got != test.want || status.Code(err) != status.Code(want) {
					t.Errorf("%d attempts, %v, want %d and %v", got, err, test.want, want)
				}
			})
		}
	}
}

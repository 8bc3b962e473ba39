package auth0grpcclient_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
)

// foreign are credentials of another kind.
type foreign struct{}

func (foreign) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer foreign"}, nil
}

func (foreign) RequireTransportSecurity() bool { return true }

// callWith makes one unary and one streaming call with options.
func callWith(ctx context.Context, client testgrpc.TestServiceClient, opts ...grpc.CallOption) map[string]error {
	_, unary := client.UnaryCall(ctx, &testgrpc.SimpleRequest{}, opts...)
	s, stream := client.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{}, opts...)
	if stream == nil {
		_, stream = s.Recv()
	}
	return map[string]error{"unary": unary, "stream": stream}
}

// TestOneCredential covers the ways in which a call could carry two credentials. No
// call gets to the server with them.
func TestOneCredential(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	own := func(edit func(*auth0grpcclient.Config)) *auth0grpcclient.Credentials {
		config := configFor(tenant)
		if edit != nil {
			edit(&config)
		}
		return newCredentials(t, config)
	}
	exchange, err := auth0grpcclient.NewOnBehalfOf(configFor(tenant), auth0grpcclient.IncomingToken)
	if err != nil {
		t.Fatal(err)
	}
	forward := func(c *auth0grpcclient.Config) { c.InsecureForwardAuthorization = true }
	bound := func(c *auth0grpcclient.Config) { c.DPoP = true }
	user := tenant.Token(map[string]any{"sub": "auth0|alice"})
	c := own(nil)
	tests := []struct {
		name     string
		creds    []*auth0grpcclient.Credentials // DialOptions of each
		dial     []grpc.DialOption
		call     []grpc.CallOption
		metadata []string
		want     codes.Code // OK: the call passes
	}{
		{name: "alone", creds: []*auth0grpcclient.Credentials{c}},
		{name: "installed twice", creds: []*auth0grpcclient.Credentials{c, c}},
		{name: "others for one call", creds: []*auth0grpcclient.Credentials{c}, call: []grpc.CallOption{grpc.PerRPCCredentials(foreign{})}, want: codes.Unauthenticated},
		{name: "the same for one call", creds: []*auth0grpcclient.Credentials{c}, call: []grpc.CallOption{grpc.PerRPCCredentials(c)}, want: codes.Unauthenticated},
		{name: "none for one call", creds: []*auth0grpcclient.Credentials{c}, call: []grpc.CallOption{grpc.PerRPCCredentials(nil)}},
		{name: "others for all calls", creds: []*auth0grpcclient.Credentials{c}, dial: []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.PerRPCCredentials(foreign{}))}, want: codes.Unauthenticated},
		{name: "two on one connection", creds: []*auth0grpcclient.Credentials{c, own(nil)}, want: codes.Unauthenticated},
		{name: "own and on behalf of", creds: []*auth0grpcclient.Credentials{c, exchange}, want: codes.Internal},
		{name: "on behalf of and own", creds: []*auth0grpcclient.Credentials{exchange, c}, want: codes.Unauthenticated},
		{name: "on behalf of, others for one call", creds: []*auth0grpcclient.Credentials{exchange}, call: []grpc.CallOption{grpc.PerRPCCredentials(foreign{})}, want: codes.Internal},
		{name: "authorization", creds: []*auth0grpcclient.Credentials{c}, metadata: []string{"authorization", "Bearer x"}, want: codes.Unauthenticated},
		{name: "an empty authorization", creds: []*auth0grpcclient.Credentials{c}, metadata: []string{"authorization", ""}, want: codes.Unauthenticated},
		{name: "on behalf of, authorization", creds: []*auth0grpcclient.Credentials{exchange}, metadata: []string{"authorization", "Bearer x"}, want: codes.Internal},
		{name: "a proof", creds: []*auth0grpcclient.Credentials{c}, metadata: []string{"dpop", "x"}, want: codes.Unauthenticated},
		{name: "a second proof", creds: []*auth0grpcclient.Credentials{own(bound)}, metadata: []string{"DPoP", "x"}, want: codes.Unauthenticated},
		{name: "forwarded", creds: []*auth0grpcclient.Credentials{own(forward)}, metadata: []string{"authorization", "Bearer x", "dpop", "y"}},
		{name: "two forwarded", creds: []*auth0grpcclient.Credentials{own(forward)}, metadata: []string{"authorization", "Bearer x", "Authorization", "Bearer y"}, want: codes.Unauthenticated},
		{name: "forwarded, others for one call", creds: []*auth0grpcclient.Credentials{own(forward)}, metadata: []string{"authorization", "Bearer x"}, call: []grpc.CallOption{grpc.PerRPCCredentials(foreign{})}, want: codes.Unauthenticated},
		{name: "interceptors alone, others for one call", dial: []grpc.DialOption{grpc.WithChainUnaryInterceptor(c.UnaryClientInterceptor()), grpc.WithChainStreamInterceptor(c.StreamClientInterceptor())}, call: []grpc.CallOption{grpc.PerRPCCredentials(foreign{})}, want: codes.Unauthenticated},
		{name: "interceptors alone, for one call", dial: []grpc.DialOption{grpc.WithChainUnaryInterceptor(c.UnaryClientInterceptor()), grpc.WithChainStreamInterceptor(c.StreamClientInterceptor())}, call: []grpc.CallOption{grpc.PerRPCCredentials(c)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := &gate{}
			target, trust := serve(t, g.options()...)
			options := append(test.dial, grpc.WithTransportCredentials(credentials.NewTLS(trust)))
			for _, creds := range test.creds {
				options = append(options, creds.DialOptions()...)
			}
			ctx := metadata.AppendToOutgoingContext(incoming(t.Context(), "Bearer "+user), test.metadata...)
			for shape, err := range callWith(ctx, dial(t, target, options...), test.call...) {
				wantCode(t, err, test.want)
				if err != nil && !strings.Contains(err.Error(), "auth0grpcclient: ") {
					t.Errorf("%s: %v", shape, err)
				}
			}
			values := g.values("authorization")
			if test.want != codes.OK && len(values) != 0 {
				t.Errorf("%d calls went out, with %q", len(values), values)
			}
			if test.want == codes.OK && (len(values) != 2 || strings.Contains(values[0], " AND ")) {
				t.Errorf("calls went out with %q, want two with one value each", values)
			}
		})
	}
}

// TestCallsInsideCalls shows that an interceptor may use the context of one call for
// another call, on another connection with other credentials.
func TestCallsInsideCalls(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	inner := connect(t, &gate{}, newCredentials(t, configFor(tenant)))
	target, trust := serve(t)
	c := newCredentials(t, configFor(tenant))
	options := append(c.DialOptions(), grpc.WithTransportCredentials(credentials.NewTLS(trust)),
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if _, err := shapes["unary"](ctx, inner); err != nil {
				t.Errorf("the call inside: %v", err)
			}
			return invoke(ctx, method, req, reply, cc, opts...)
		}))
	if _, err := shapes["unary"](t.Context(), dial(t, target, options...)); err != nil {
		t.Error(err)
	}
}

// TestCallsWithoutAConnection shows that two calls without a connection, as another
// transport makes them, are not taken for one call.
func TestCallsWithoutAConnection(t *testing.T) {
	t.Parallel()
	outer, inner := newCredentials(t, offline((&fake{}).roundTrip)), newCredentials(t, offline((&fake{}).roundTrip))
	streamer := func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
		return &fakeStream{ctx: ctx}, nil
	}
	invoke := func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		done := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
		_, err := inner.StreamClientInterceptor()(ctx, &grpc.StreamDesc{}, nil, "/a.B/C", streamer)
		return errors.Join(err, inner.UnaryClientInterceptor()(ctx, "/a.B/C", nil, nil, nil, done))
	}
	if err := outer.UnaryClientInterceptor()(t.Context(), "/a.B/C", nil, nil, nil, invoke); err != nil {
		t.Error(err)
	}
}

// TestTokenOfAnotherConnection shows that a refused call renews its own token, and not
// the token of a call that an interceptor made with its context. That call is on a
// connection without interceptors of this package.
func TestTokenOfAnotherConnection(t *testing.T) {
	t.Parallel()
	for shape, call := range map[string]func(*auth0grpcclient.Credentials, func(context.Context) error) error{
		"unary": func(c *auth0grpcclient.Credentials, attempt func(context.Context) error) error {
			invoke := func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
				return attempt(ctx)
			}
			return c.UnaryClientInterceptor()(t.Context(), "/a.B/C", nil, nil, nil, invoke)
		},
		"stream": func(c *auth0grpcclient.Credentials, attempt func(context.Context) error) error {
			streamer := func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
				return &fakeStream{ctx: ctx, receive: attempt(ctx)}, nil
			}
			s, err := c.StreamClientInterceptor()(t.Context(), &grpc.StreamDesc{ServerStreams: true}, nil, "/a.B/C", streamer)
			if err != nil {
				return err
			}
			return s.RecvMsg(nil)
		},
	} {
		own, other := &fake{}, &fake{}
		c, foreign := newCredentials(t, offline(own.roundTrip)), newCredentials(t, offline(other.roundTrip))
		attempts := 0
		err := call(c, func(ctx context.Context) error {
			for _, creds := range []*auth0grpcclient.Credentials{c, foreign} {
				if _, err := authorization(ctx, creds); err != nil {
					return err
				}
			}
			if attempts++; attempts == 1 {
				return refuse("TOKEN_REVOKED")
			}
			return nil
		})
		if err != nil || attempts != 2 || own.count() != 2 || other.count() != 1 {
			t.Errorf("%s: %v, %d attempts with %d tokens, and %d of the other connection, want 2 with 2, and 1",
				shape, err, attempts, own.count(), other.count())
		}
	}
}

package auth0grpc_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A tappedPair is a fixture with the tap and one without, of one tenant. Their
// interceptors know nothing of one another.
type tappedPair struct {
	*fixture // with the tap
	without  *fixture
}

func newTappedPair(tb testing.TB, options ...option) *tappedPair {
	tb.Helper()
	quiet := func(_ *fixture, config *auth0grpc.Config) { config.Logger = slog.New(slog.DiscardHandler) }
	options = slices.Concat([]option{transports("bufconn"), quiet}, options, []option{recordDecisions})
	with := newFixture(tb, append(options, tapped)...)
	return &tappedPair{with, newFixtureOf(tb, with.tenant, with.clock, options...)}
}

// openings returns the decisions on calls since the last time, once all of them have
// arrived.
func (f *fixture) openings(tb testing.TB) []auth0grpc.Decision {
	tb.Helper()
	eventually(tb, "streams are closed", func() bool { return f.guard.Stats().OpenStreams == 0 })
	return slices.DeleteFunc(f.decisions.take(), func(d auth0grpc.Decision) bool { return d.Outcome == auth0grpc.OutcomeEnded })
}

// alike asserts that a call ends on both servers with the same status and the
// same one decision, and that the tap refused it or let it pass.
func (p *tappedPair) alike(t *testing.T, refused bool, m method, authorization ...string) *status.Status {
	t.Helper()
	ctx := t.Context()
	for _, value := range authorization {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", value)
	}
	taps := p.refusals.Load()
	got, want := status.Convert(exchange(ctx, p.conns["bufconn"], m).err), status.Convert(exchange(ctx, p.without.conns["bufconn"], m).err)
	// Not proto.Equal: it compares the bytes of details, and maps have no order there.
	if diff := cmp.Diff(want.Proto(), got.Proto(), protocmp.Transform()); diff != "" {
		t.Errorf("%s: (-without the tap +with it):\n%s", m.name, diff)
	}
	if n := p.refusals.Load() - taps; (n == 1) != refused {
		t.Errorf("%s: the tap refused %d calls of one; refused by it: want %t", m.name, n, refused)
	}
	told, other := p.openings(t), p.without.openings(t)
	if diff := cmp.Diff(other, told, cmpopts.IgnoreFields(auth0grpc.Decision{}, "Duration")); diff != "" || len(told) != 1 {
		t.Errorf("%s: %d decisions, want one; (-without the tap +with it):\n%s", m.name, len(told), diff)
	}
	return got
}

// A fault shows in the headers, or only a key, go-oidc or the rule can tell.
func TestTapRefusesAsTheInterceptorDoes(t *testing.T) {
	p := newTappedPair(t)
	rows := slices.Concat(headerRows(p.fixture), claimRows(p.fixture), shapeRows(p.fixture), compactRows(p.fixture), []tokenRow{
		{"expired", p.token(claims{"exp": today}), expired},
		{"opaque", "leak-opaque", malformed},
		{"too long", strings.Repeat("a", 16<<10+1), tokenTooLong},
		{"wrong scope", p.token(claims{"scope": "leak"}), lacksReadOrders},
		{"unknown kid", p.tenant.Sign(claims{"kid": "leak"}, p.claims(nil)), unknownKey},
	})
	later := []auth0grpc.Reason{"", auth0grpc.ReasonUnknownKey, auth0grpc.ReasonBadSignature, auth0grpc.ReasonInsufficientScope, auth0grpc.ReasonVerificationFailed}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for range 2 { // the second may be known
				for _, m := range shapes {
					byGoOIDC := strings.HasPrefix(row.name, "distributed claims")
					early := !byGoOIDC && !slices.Contains(later, row.want.reason) || row.want.message == noKeyID.message
					got := p.alike(t, early, m, "Bearer "+row.token)
					if got.Code() != row.want.code {
						t.Errorf("%v, want %v", got, row.want.code)
					}
				}
			}
		})
	}
	good := p.token(nil)
	for name, test := range map[string]struct {
		refused bool
		value   []string
	}{
		"no token":     {true, nil},
		"good":         {false, []string{"Bearer " + good}},
		"lower case":   {false, []string{"bearer " + good}},
		"two":          {true, []string{"Bearer " + good, "Bearer " + good}},
		"Basic":        {true, []string{"Basic bGVhazpsZWFr"}},
		"DPoP":         {true, []string{"DPoP " + good}},
		"empty":        {true, []string{""}},
		"scheme alone": {true, []string{"Bearer"}},
		"space inside": {true, []string{"Bearer " + good[:20] + " " + good[20:]}},
		"many dots":    {true, []string{"Bearer " + strings.Repeat(".", 16<<10)}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, m := range shapes {
				p.alike(t, test.refused, m, test.value...)
			}
		})
	}
	p.clock.Advance(25 * time.Hour) // good is known, and has expired
	for _, m := range shapes {
		p.alike(t, true, m, "Bearer "+good)
	}
}

// Only callers with a valid token learn that a method is not listed.
func TestTapAndUnlistedMethods(t *testing.T) {
	p := newTappedPair(t, func(_ *fixture, c *auth0grpc.Config) {
		c.Methods = map[string]auth0grpc.Rule{testgrpc.TestService_EmptyCall_FullMethodName: auth0grpc.Authenticated()}
	})
	listed := method{name: testgrpc.TestService_EmptyCall_FullMethodName}
	token, second, third := p.token(nil), p.token(claims{"jti": "second"}), p.token(claims{"jti": "third"})
	check := func(name string, refused bool, want auth0grpc.Reason, value ...string) {
		t.Helper()
		for _, m := range shapes {
			if reason, _ := auth0grpc.ReasonFromError(p.alike(t, refused, m, value...).Err()); reason != want {
				t.Errorf("%s: %q, want %q", name, reason, want)
			}
		}
	}
	check("no token", true, auth0grpc.ReasonMissingToken)
	check("garbage", true, auth0grpc.ReasonMalformedToken, "Bearer leak")
	p.alike(t, false, shapes[0], "Bearer "+token)
	check("known", true, auth0grpc.ReasonMethodNotListed, "Bearer "+token)
	for _, h := range []*fixture{p.fixture, p.without} {
		if err := h.guard.Revoke(t.Context(), auth0grpc.Revocation{TokenID: "second", IssuedBefore: today.Add(time.Second)}); err != nil {
			t.Fatal(err)
		}
	}
	p.alike(t, false, listed, "Bearer "+second)
	check("revoked", false, auth0grpc.ReasonTokenRevoked, "Bearer "+second)
	p.alike(t, false, listed, "Bearer "+third)
	check("known since the revocation", true, auth0grpc.ReasonMethodNotListed, "Bearer "+third)
	p.tenant.RotateKeys()
	p.tenant.RevokePreviousKey()
	p.clock.Advance(11 * time.Minute)
	p.alike(t, false, listed, "Bearer "+p.token(nil)) // brings the new keys
	check("its key withdrawn", false, auth0grpc.ReasonUnknownKey, "Bearer "+token)
	check("its key alone withdrawn", false, auth0grpc.ReasonUnknownKey, "Bearer "+third)
}

// The tap does not reveal that a method is unlisted to a caller without the proof of its
// token, although the token is in the cache.
func TestTapAndUnlistedMethodsOfBoundTokens(t *testing.T) {
	f := newFixture(t, transports("bufconn"), acceptDPoP)
	if got := f.present(t, "bufconn", shapes[0], f.good(shapes[0].name)); got.err != nil {
		t.Fatal(got.err)
	}
	for _, stolen := range []string{"DPoP " + f.bound, "Bearer " + f.bound} {
		md := metadata.Pairs("authorization", stolen)
		if _, err := f.guard.TapHandle()(t.Context(), &tap.Info{FullMethodName: "/a.B/C", Header: md}); err != nil {
			t.Errorf("%.6s: the tap refuses with %v", stolen, err)
		}
		for shape, got := range direct(t, t.Context(), f.guard, "/a.B/C", md) {
			if reason, _ := auth0grpc.ReasonFromError(got.err); reason == auth0grpc.ReasonMethodNotListed || got.err == nil {
				t.Errorf("%.6s, %s: %v", stolen, shape, got.err)
			}
		}
	}
}

func TestTapLetsPass(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*auth0grpc.Config)
		value   []string
		refused bool
	}{
		"public without a token":   {ruled(auth0grpc.Public()), nil, false},
		"public with garbage":      {ruled(auth0grpc.Public()), []string{"leak", "Bearer x"}, false},
		"optional without a token": {ruled(auth0grpc.Optional()), nil, false},
		"optional with garbage":    {ruled(auth0grpc.Optional()), []string{"Bearer leak"}, true},
		"optional with two":        {ruled(auth0grpc.Optional()), []string{"Bearer a", "Bearer a"}, true},
		"report-only":              {func(c *auth0grpc.Config) { c.ReportOnly = auth0grpc.ReportOnlyTable }, nil, false},
		"report-only, by its row":  {ruled(auth0grpc.Authenticated().ReportOnly()), nil, false},
		"report-only and garbage":  {func(c *auth0grpc.Config) { c.ReportOnly = auth0grpc.ReportOnlyTable }, []string{"Bearer leak"}, true},
		"report-only, all of it":   {func(c *auth0grpc.Config) { c.ReportOnly = auth0grpc.ReportOnlyEverything }, []string{"Bearer leak"}, false},
		"report-only, unlisted": {func(c *auth0grpc.Config) {
			c.ReportOnly = auth0grpc.ReportOnlyTable
			delete(c.Methods, allMethods)
			c.Methods["/a.B/C"] = auth0grpc.Public()
		}, nil, false},
		"no cache, without any token": {uncached, nil, true},
		"no cache, garbage":           {uncached, []string{"Bearer leak"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTappedPair(t, configured(test.change))
			for _, m := range shapes {
				p.alike(t, test.refused, m, test.value...)
			}
		})
	}
	p := newTappedPair(t, configured(uncached))
	for range 2 {
		for _, m := range shapes {
			p.alike(t, false, m, "Bearer "+p.token(nil))
		}
	}
}

func uncached(c *auth0grpc.Config) { c.CacheSize = auth0grpc.NoCache }

func ruled(rule auth0grpc.Rule) func(*auth0grpc.Config) {
	return func(c *auth0grpc.Config) { c.Methods[allMethods] = rule }
}

// Behind ServeHTTP there is no tap: the interceptor decides, with a challenge.
func TestTapAndServeHTTP(t *testing.T) {
	f := newFixture(t, transports("ServeHTTP"), tapped)
	for _, m := range shapes {
		missing.check(t, f.call(t.Context(), "ServeHTTP", m))
		malformed.check(t, f.call(t.Context(), "ServeHTTP", m, bearer("leak-opaque")...))
		passes.check(t, f.call(t.Context(), "ServeHTTP", m, bearer(f.token(nil))...))
	}
}

// glance calls the tap as gRPC does.
func glance(ctx context.Context, guard *auth0grpc.Interceptor, fullMethod string, authorization ...string) error {
	header := metadata.MD{}
	if authorization != nil {
		header["authorization"] = authorization
	}
	_, err := guard.TapHandle()(ctx, &tap.Info{FullMethodName: fullMethod, Header: header})
	return err
}

// It runs on the goroutine that reads the connection: no key, no network, no
// lock.
func TestTapDoesNotWait(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	good := "Bearer " + tenant.Token(claims{"scope": "read:orders"})
	unknown := "Bearer " + tenant.Sign(claims{"kid": "leak"}, claims{"iss": tenant.Issuer(), "sub": "a", "aud": auth0grpctest.Audience, "iat": today.Unix(), "exp": today.Unix() + 60})
	release, asked := make(chan struct{}), make(chan struct{})
	var once sync.Once
	tenant.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			once.Do(func() { close(asked) })
			<-release
			next.ServeHTTP(w, r)
		})
	})
	if err := glance(t.Context(), guard, unaryCall, good); err != nil {
		t.Errorf("a good token: %v", err)
	}
	if err := glance(t.Context(), guard, unaryCall, unknown); err != nil {
		t.Errorf("an unknown kid: %v", err)
	}
	if n := tenant.DiscoveryFetches() + tenant.KeyFetches(); n != 0 {
		t.Fatalf("%d fetches by the tap", n)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() { decideOnce(t, guard, unaryCall, passes, strings.TrimPrefix(good, "Bearer ")) })
	<-asked
	unlock := guard.HoldLocks()
	for range 100 {
		for value, want := range map[string]auth0grpc.Reason{good: "", unknown: "", "Bearer leak": "MALFORMED_TOKEN", "leak": "MALFORMED_AUTHORIZATION"} {
			if reason, _ := auth0grpc.ReasonFromError(glance(t.Context(), guard, unaryCall, value)); reason != want {
				t.Errorf("%q, want %q", reason, want)
			}
		}
	}
	unlock()
	close(release)
	waiting.Wait()
	unlock = guard.HoldLocks()
	defer unlock()
	if err := glance(t.Context(), guard, unaryCall, good); err != nil {
		t.Errorf("a known token: %v", err)
	}
}

// grpc-go does not stop the timer of a call that a tap refuses: it is not to be
// had for a deadline of years.
func TestTapAndFarDeadlines(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	for _, test := range []struct {
		timeout time.Duration
		refused bool
	}{{30 * time.Second, true}, {time.Minute, true}, {3 * time.Minute, false}, {1000 * time.Hour, false}} {
		ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
		defer cancel()
		if err := glance(ctx, guard, unaryCall); (err != nil) != test.refused {
			t.Errorf("%v away: %v", test.timeout, err)
		}
	}
}

// Inputs of the zero Interceptor, and of callers of another kind.
func TestTapOnOddInput(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	if reason, _ := auth0grpc.ReasonFromError(glance(t.Context(), new(auth0grpc.Interceptor), unaryCall)); reason != auth0grpc.ReasonMethodNotListed {
		t.Errorf("the zero Interceptor: %q", reason)
	}
	_, err := guard.TapHandle()(t.Context(), &tap.Info{})
	if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonMissingToken {
		t.Errorf("an empty Info: %q", reason)
	}
	config := configFor(tenant, now)
	config.Now = func() time.Time { panic("a clock of somebody else") }
	if err := glance(t.Context(), mustNew(t, config), unaryCall, "Bearer a.b.c"); err != nil {
		t.Errorf("a panic in the tap: %v, want it left to the interceptor", err)
	}
}

// For any input of a stranger, the tap refuses only calls that the interceptor refuses,
// and for the same reason.
func FuzzTapAgrees(f *testing.F) {
	fixture := &fixture{}
	fixture.tenant, fixture.clock = newTenant(f)
	guard := mustNew(f, configFor(fixture.tenant, fixture.clock))
	for _, row := range slices.Concat(headerRows(fixture), claimRows(fixture), shapeRows(fixture), compactRows(fixture)) {
		f.Add("Bearer "+row.token, unaryCall)
	}
	good := "Bearer " + fixture.token(nil)
	f.Add(good, unaryCall)
	f.Add(good, "/a.B/C")
	f.Add("", "")
	interceptor := guard.UnaryServerInterceptor()
	f.Fuzz(func(t *testing.T, value, fullMethod string) {
		for range 2 {
			refusal := glance(t.Context(), guard, fullMethod, value)
			ctx := grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", value)), &transportStream{method: fullMethod})
			_, err := interceptor(ctx, nil, &grpc.UnaryServerInfo{FullMethod: fullMethod}, func(context.Context, any) (any, error) { return nil, nil })
			if refusal != nil && !proto.Equal(status.Convert(refusal).Proto(), status.Convert(err).Proto()) {
				t.Fatalf("the tap says %v, the interceptor %v", refusal, err)
			}
		}
	})
}

// A countingListener counts the bytes that its connections read.
type countingListener struct {
	net.Listener
	read atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return countingConn{conn, l}, err
}

type countingConn struct {
	net.Conn
	of *countingListener
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.of.read.Add(int64(n))
	return n, err
}

// Four megabytes from a stranger stay with the stranger, except the window of a stream,
// which the client may send before it receives the response.
func TestTapDoesNotReadTheBody(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	body := &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: make([]byte, 4<<20-100)}}
	for _, withTap := range []bool{false, true} {
		options := guard.ServerOptions()
		if withTap {
			options = append(options, grpc.InTapHandle(guard.TapHandle()))
		}
		server := grpc.NewServer(options...)
		testgrpc.RegisterTestServiceServer(server, service{})
		plain, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener := &countingListener{Listener: plain}
		go server.Serve(listener)
		t.Cleanup(server.Stop)
		client := testgrpc.NewTestServiceClient(dial(t, plain.Addr().String(), insecure.NewCredentials()))
		if _, err := client.UnaryCall(t.Context(), body); status.Code(err) != codes.Unauthenticated {
			t.Fatal(err)
		}
		read := listener.read.Load()
		t.Logf("tap %t: %d bytes read", withTap, read)
		if withTap && read > 128<<10 || !withTap && read < 4<<20-100 {
			t.Errorf("tap %t: %d bytes read of %d", withTap, read, 4<<20)
		}
	}
}

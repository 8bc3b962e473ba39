package suite

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func newSuite(tb testing.TB) *Suite {
	tb.Helper()
	s, err := New()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// TestMemory measures in a process of its own, without the garbage of other tests.
func TestMemory(t *testing.T) {
	if os.Getenv("SUITE_TEST_MEMORY") == "" {
		alone := exec.Command(os.Args[0], "-test.run=^TestMemory$")
		alone.Env = append(os.Environ(), "SUITE_TEST_MEMORY=1")
		if out, err := alone.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	got, err := newSuite(t).Memory(2000)
	if err != nil {
		t.Fatal(err)
	}
	if got.Full <= 0 || got.Overfull > 2*got.Full {
		t.Errorf("%+v: the cache outgrew its bound", got)
	}
}

// TestPeersDecideAlike shows that the peers do the same work: each accepts good tokens
// and makes the same checks.
func TestPeersDecideAlike(t *testing.T) {
	s := newSuite(t)
	with := func(alg string, membersAndValues ...any) string {
		c := claims(s.tenant.Issuer(), 1, "")
		for i := 0; i < len(membersAndValues); i += 2 {
			c[membersAndValues[i].(string)] = membersAndValues[i+1]
		}
		return s.tenant.Sign(map[string]any{"alg": alg}, c)
	}
	for _, alg := range Algorithms {
		otherAlg := Algorithms[0]
		if alg == otherAlg {
			otherAlg = "HS256"
		}
		tests := []struct {
			name, token string
			want        codes.Code
		}{
			{"good", s.Token(alg, Small), codes.OK},
			{"good and long", s.Token(alg, Large), codes.OK},
			{"no token", "", codes.Unauthenticated},
			{"another issuer", with(alg, "iss", "https://other.example.com/"), codes.Unauthenticated},
			{"another audience", with(alg, "aud", "https://other.example.com"), codes.Unauthenticated},
			{"expired", with(alg, "exp", time.Now().Add(-time.Hour).Unix()), codes.Unauthenticated},
			{"without the scope", with(alg, "scope", "openid "+Scope+"s"), codes.PermissionDenied},
			{"another algorithm", with(otherAlg, "x", 1), codes.Unauthenticated},
			{"bad signature", s.bad(BadSignature, 1)[0], codes.Unauthenticated},
			{"unknown kid", s.bad(UnknownKey, 1)[0], codes.Unauthenticated},
			{"letters", s.bad(Letters, 1)[0], codes.Unauthenticated},
			{"symbols", s.bad(Symbols, 1)[0], codes.Unauthenticated},
		}
		byHand := []struct{ name, token string }{
			{"ID token", with(alg, "nonce", "n")},
			{"ID token with at_hash", with(alg, "at_hash", "h")},
			{"ID token with c_hash", with(alg, "c_hash", "h")},
			{"ID token without nonce", with(alg, "aud", auth0grpctest.Audience, "azp", auth0grpctest.Audience)},
			{"logout token", with(alg, "events", map[string]any{})},
			{"bound token", with(alg, "cnf", map[string]string{"jkt": "x"})},
			{"two clients", with(alg, "client_id", "other")},
			{"no subject", with(alg, "sub", "")},
			{"from the future", with(alg, "iat", time.Now().Add(time.Hour).Unix())},
			{"no iat", with(alg, "iat", nil)},
		}
		otherType := s.tenant.Sign(map[string]any{"alg": alg, "typ": "dpop+jwt"}, claims(s.tenant.Issuer(), 1, ""))
		for _, name := range Peers[1:] {
			p, err := s.newPeer(name, alg)
			if err != nil {
				t.Fatal(err)
			}
			if name != GoJWT { // a library for the first checks alone
				for _, test := range byHand {
					t.Run(alg+"/"+name+"/"+test.name, func(t *testing.T) {
						if got := status.Code(p.intercept(incoming(test.token))); got != codes.Unauthenticated {
							t.Errorf("code %v, want %v", got, codes.Unauthenticated)
						}
					})
				}
			}
			if name == Warm || name == Cold || name == GolangJWT { // go-oidc does not return the header
				if got := status.Code(p.intercept(incoming(otherType))); got != codes.Unauthenticated {
					t.Errorf("%s, %s: code %v for a token of another type, want %v", alg, name, got, codes.Unauthenticated)
				}
			}
			for _, test := range tests {
				t.Run(alg+"/"+name+"/"+test.name, func(t *testing.T) {
					for range 2 { // the second may come from a cache
						got := status.Code(p.intercept(incoming(test.token)))
						// Which code a refusal has is each peer's own affair.
						if got != test.want && (test.want == codes.OK || got == codes.OK) {
							t.Errorf("code %v, want %v", got, test.want)
						}
					}
				})
			}
		}
	}
}

func TestTokensAreAsLongAsTheySay(t *testing.T) {
	s := newSuite(t)
	about := func(what, token string, want int) {
		t.Helper()
		if d := len(token) - want; d < -4 || d > 4 {
			t.Errorf("%s has %d bytes, want %d", what, len(token), want)
		}
	}
	for _, alg := range Algorithms {
		about(alg, s.Token(alg, Small), Small)
		about(alg, s.Token(alg, Large), Large)
	}
	about("fresh", s.mintMany("RS256", 1)[0], Small)
	about(string(UnknownKey), s.bad(UnknownKey, 1)[0], Small)
	about(string(BadSignature), s.bad(BadSignature, 1)[0], Small)
	about(string(Letters), s.bad(Letters, 1)[0], garbageBytes)
	about(string(Symbols), s.bad(Symbols, 1)[0], garbageBytes)
}

// TestBadSignatureReachesThePublicKey: a value that is no residue of the modulus
// would be refused without the operation that the flood is about.
func TestBadSignatureReachesThePublicKey(t *testing.T) {
	s := newSuite(t)
	good, bad := s.Token("RS256", Small), s.bad(BadSignature, 1)[0]
	if a, b := good[strings.LastIndexByte(good, '.'):], bad[strings.LastIndexByte(bad, '.'):]; a != b {
		t.Error("the forged token has another signature than the good one")
	}
	if a, _, _ := strings.Cut(good, "."); !strings.HasPrefix(bad, a+".") {
		t.Error("the forged token has another header than the good one")
	}
}

func TestCases(t *testing.T) {
	s := newSuite(t)
	cases, err := s.Cases()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, c := range cases {
		if seen[c.Name()] {
			t.Errorf("two cases are called %q", c.Name())
		}
		seen[c.Name()] = true
	}
}

func TestStreamsAreGuarded(t *testing.T) {
	s := newSuite(t)
	for _, name := range Peers {
		r, err := s.newRig(name, "RS256", inMemory)
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		if err := openStream(outgoing(s.Token("RS256", Small)), r.client); err != nil {
			t.Errorf("%s refused a good token: %v", name, err)
		}
		if err := openStream(context.Background(), r.client); (err == nil) != (name == NoAuth) {
			t.Errorf("%s without a token: %v", name, err)
		}
	}
}

func TestFloods(t *testing.T) {
	s := newSuite(t)
	for _, f := range s.FloodBenches() {
		for _, kind := range Floods {
			check := func(got FloodResult, err error) {
				t.Helper()
				if err != nil {
					t.Fatalf("%s, %s: %v", f.Peer(), kind, err)
				}
				if got.Good == 0 || got.Peer != f.Peer() || got.Kind != kind {
					t.Errorf("%s, %s: %+v", f.Peer(), kind, got)
				}
			}
			check(f.Calls(kind, false, 10*time.Millisecond))
			check(f.Calls(kind, true, 10*time.Millisecond))
			check(f.Siege(kind, 10*time.Millisecond))
			check(f.Interceptor(kind, 10*time.Millisecond))
		}
	}
	f := s.FloodBenches()[0]
	for _, flooded := range []bool{false, true} {
		if got, err := f.FirstUses(5, flooded); err != nil || got.Max <= 0 {
			t.Errorf("FirstUses: %+v, %v", got, err)
		}
	}
}

// TestFetches checks a small version of the report's table in every run.
func TestFetches(t *testing.T) {
	s := newSuite(t)
	for _, kind := range Floods {
		got, err := s.Fetches(kind, 2000)
		if err != nil {
			t.Fatal(err)
		}
		most := int64(0)
		if kind == UnknownKey {
			most = 1
		}
		if got.First > most || got.Again > 0 || got.AfterReset > most {
			t.Errorf("%+v, want at most %d for each cool-down", got, most)
		}
	}
}

// Benchmark runs every case; -bench 'Benchmark/interceptor/RS256/900B' picks.
// For ratios run cmd/report, which takes the cases in turn.
func Benchmark(b *testing.B) {
	s := newSuite(b)
	cases, err := s.Cases()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range cases {
		b.Run(strings.ReplaceAll(c.Name(), " ", "_"), c.Bench)
	}
}

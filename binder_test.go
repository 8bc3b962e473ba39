package auth0grpc_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// Every check of RFC 9449, section 4.3, as a call shows it. The client's statements
// about the server's address are ignored (CVE-2025-54576).
func TestProofs(t *testing.T) {
	f := newFixture(t, acceptDPoP)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := private.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	signed := func(header, more claims) func(string) []string {
		return func(m string) []string { return []string{f.key.Sign(header, f.proofClaims(m, more))} }
	}
	claimed := func(name string, value any) func(string) []string {
		return func(m string) []string { return []string{f.proof(m, claims{name: value})} }
	}
	at := func(htu string) func(string) []string {
		return func(m string) []string {
			return []string{f.proof(m, claims{"htu": strings.NewReplacer("METHOD", m, "SERVICE", m[:strings.LastIndexByte(m, '/')]).Replace(htu)})}
		}
	}
	raw := func(proofs ...string) func(string) []string { return func(string) []string { return proofs } }
	changed := func(change func(proof string) string) func(string) []string {
		return func(m string) []string { return []string{change(f.proof(m, nil))} }
	}
	ofKey := func(key crypto.Signer) func(string) []string {
		return func(m string) []string {
			return []string{auth0grpctest.NewDPoPKeyFrom(key).Sign(nil, f.proofClaims(m, nil))}
		}
	}
	good, bad := passed, byDPoP(badProof)
	for _, test := range []struct {
		name   string
		proofs func(fullMethod string) []string
		want   challenged
	}{
		{"good", signed(nil, nil), good},
		{"no proof", raw(), byDPoP(missingProof)},
		{"the same twice", func(m string) []string { p := f.proof(m, nil); return []string{p, p} }, byDPoP(missingProof)},
		{"good and empty", func(m string) []string { return []string{f.proof(m, nil), ""} }, byDPoP(missingProof)},
		{"two in one value", func(m string) []string { return []string{f.proof(m, nil) + ", " + f.proof(m, nil)} }, bad},
		{"empty", raw(""), bad},
		{"not a JWS", raw("leak-leak-leak"), bad},
		{"the access token", raw(f.bound), bad},
		{"not base64url", changed(func(p string) string { return "!" + p }), bad},
		{"too long", func(m string) []string { return []string{f.proof(m, claims{"x": strings.Repeat("leak", 1536)})} }, bad},

		{"typ JWT", signed(claims{"typ": "JWT"}, nil), bad},
		{"typ missing", signed(claims{"typ": nil}, nil), bad},
		{"typ in upper case", signed(claims{"typ": "DPOP+JWT"}, nil), bad},
		{"alg none", signed(claims{"alg": "none"}, nil), bad},
		{"alg HS256", signed(claims{"alg": "HS256"}, nil), bad},
		{"alg missing", signed(claims{"alg": nil}, nil), bad},
		{"alg not on the list", ofKey(mustSigner(rsa.GenerateKey(rand.Reader, 2048))), bad},
		{"alg not on the list, another curve", ofKey(mustSigner(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))), bad},
		{"crit", signed(claims{"crit": []string{"exp"}}, nil), bad},
		{"jwk missing", signed(claims{"jwk": nil}, nil), bad},
		{"jwk with its private key", func(m string) []string {
			key := auth0grpctest.NewDPoPKeyFrom(private)
			jwk := strings.TrimSuffix(string(key.JWK()), "}") + `,"d":"` + base64.RawURLEncoding.EncodeToString(scalar) + `"}`
			return []string{key.Sign(claims{"jwk": json.RawMessage(jwk)}, f.proofClaims(m, nil))}
		}, bad},
		{"jwk symmetric", signed(claims{"jwk": claims{"kty": "oct", "k": "bGVhaw"}}, nil), bad},
		{"jwk of another, who did not sign", signed(claims{"jwk": auth0grpctest.NewDPoPKey().JWK()}, nil), byDPoP(otherKey)},
		{"by another key", func(m string) []string {
			return []string{auth0grpctest.NewDPoPKey().Sign(nil, f.proofClaims(m, nil))}
		}, byDPoP(otherKey)},
		{"signature cut", changed(func(p string) string { return p[:len(p)-4] }), bad},
		{"signature missing", changed(func(p string) string { return p[:strings.LastIndexByte(p, '.')+1] }), bad},
		{"claims changed", changed(func(p string) string {
			parts := strings.Split(p, ".")
			parts[1] = strings.Split(f.proof(unaryCall, nil), ".")[1]
			return strings.Join(parts, ".")
		}), bad},

		{"jti missing", claimed("jti", nil), bad},
		{"jti empty", claimed("jti", ""), bad},
		{"jti a number", claimed("jti", 1), bad},
		{"jti at the length", func(m string) []string {
			return []string{f.proof(m, claims{"jti": strings.Repeat("x", 256-26) + rand.Text()})}
		}, good},
		{"jti too long", claimed("jti", strings.Repeat("leak", 64)+"l"), bad},

		{"htm GET", claimed("htm", "GET"), bad},
		{"htm in lower case", claimed("htm", "post"), bad},
		{"htm missing", claimed("htm", nil), bad},

		{"htu missing", claimed("htu", nil), bad},
		{"htu of another method", at(authority + "SERVICE/Other"), bad},
		{"htu of another service", at(authority + "/grpc.testing.Other/UnaryCall"), bad},
		{"htu of the service", at(authority + "SERVICE/"), bad},
		{"htu of the server", at(authority), bad},
		{"htu without a server", at("METHOD"), bad},
		{"htu of another server", at("https://leak.example.comMETHOD"), bad},
		{"htu of a server below", at("https://leak.rpc.example.comMETHOD"), bad},
		{"htu with the scheme http", at("http://rpc.example.comMETHOD"), bad},
		{"htu with another port", at("https://rpc.example.com:8443METHOD"), bad},
		{"htu of what was dialled", at("https://bufconnMETHOD"), bad},
		{"htu with a user", at("https://leak@rpc.example.comMETHOD"), bad},
		{"htu with a slash at the end", at(authority + "METHOD/"), bad},
		{"htu with two slashes", at(authority + "/METHOD"), bad},
		{"htu in another case", at(authority + "/grpc.testing.testserviceMETHOD"), bad},
		// RFC 3986, sections 6.2.2 and 6.2.3.
		{"htu with the default port", at("https://rpc.example.com:443METHOD"), good},
		{"htu with the host in upper case", at("HTTPS://RPC.example.COMMETHOD"), good},
		{"htu with dot segments", at(authority + "/x/..METHOD"), good},
		{"htu with an escaped letter", at(authority + "/%67" + "METHOD"), bad},
		{"htu with a query", at(authority + "METHOD?x=1"), good},
		{"htu with a fragment", at(authority + "METHOD#x"), good},

		{"iat missing", claimed("iat", nil), bad},
		{"iat as text", claimed("iat", "1930057766"), bad},
		{"ath missing", claimed("ath", nil), bad},
		{"ath of another token", claimed("ath", hashOf(f.plain)), bad},
		{"ath padded", claimed("ath", hashOf(f.bound)+"="), bad},
		{"nonce that nobody asked for", claimed("nonce", "leak"), good},
		{"nonce too long", claimed("nonce", strings.Repeat("leak", 65)), bad},
		{"more claims", claimed("leak", "leak"), good},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.inEveryShape(t, test.want, func(m string) presented { return f.withProofs(test.proofs(m)...) }, "bufconn")
		})
	}
}

func mustSigner[Key crypto.Signer](key Key, err error) crypto.Signer {
	if err != nil {
		panic(err)
	}
	return key
}

func TestProofAlgorithms(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.Signer{
		"ES256": mustSigner(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"ES384": mustSigner(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"RS256": mustSigner(rsa.GenerateKey(rand.Reader, 2048)),
		"EdDSA": edwards,
	}
	for accepted := range keys {
		f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) { config.DPoP.Algorithms = []string{accepted} })
		for alg, key := range keys {
			f.key = auth0grpctest.NewDPoPKeyFrom(key)
			f.bound = f.boundToken(nil)
			err := f.present(t, "bufconn", shapes[0], f.good(unaryCall)).err
			if reason, _ := auth0grpc.ReasonFromError(err); (reason == "") != (alg == accepted) {
				t.Errorf("%s where %s is accepted: %q", alg, accepted, reason)
			}
		}
	}
}

// RFC 9449's own request for a protected resource is a GET: its key, token hash
// and signature are good (internal/dpop has that), and no gRPC call is one.
func TestRFC9449ResourceRequest(t *testing.T) {
	const proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik" +
		"VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR" +
		"nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE" +
		"QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIj" +
		"oiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z" +
		"WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF" +
		"c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71E" +
		"OptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	f := newFixture(t, acceptDPoP, func(f *fixture, config *auth0grpc.Config) {
		f.clock.Advance(time.Unix(1562262618, 0).Sub(f.clock.Now()))
		config.DPoP.Authorities = []string{"https://resource.example.org"}
	})
	f.bound = f.token(claims{"cnf": claims{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})
	got := f.present(t, "bufconn", shapes[0], f.withProofs(proof))
	byDPoP(badProof).check(t, got, f.withProofs(proof))
	if got.outer == nil || !strings.Contains(got.outer.Error(), "htm is not the request's method") {
		t.Errorf("outside of us: %v", got.outer)
	}
}

// The window of a proof's time, both ends included.
func TestProofWindow(t *testing.T) {
	for _, test := range []struct {
		name          string
		age, ahead    time.Duration // as configured
		oldest, first time.Duration // how far iat may be from now
	}{
		{"default", 0, 0, -300 * time.Second, 30 * time.Second},
		{"configured", 10 * time.Second, time.Second, -10 * time.Second, time.Second},
	} {
		f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) {
			config.DPoP.MaxProofAge, config.DPoP.MaxProofSkew = test.age, test.ahead
		})
		for offset, want := range map[time.Duration]challenged{
			test.oldest - time.Second: byDPoP(badProof), test.oldest: passed, 0: passed,
			test.first: passed, test.first + time.Second: byDPoP(badProof),
		} {
			t.Run(fmt.Sprint(test.name, offset), func(t *testing.T) {
				f.inEveryShape(t, want, func(m string) presented {
					return f.withProofs(f.proof(m, claims{"iat": f.clock.Now().Add(offset)}))
				}, "bufconn")
			})
		}
	}
}

// A proof is good once (RFC 9449, section 11.1), to the last instant at which it
// is good at all, and for nothing but its own call.
func TestReplay(t *testing.T) {
	f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) {
		config.DPoP.Authorities = append(config.DPoP.Authorities, "https://second.example.com")
	})
	for _, m := range shapes {
		other := shapes[1]
		if m.name == other.name {
			other = shapes[0]
		}
		p := f.good(m.name)
		byDPoP(badProof).check(t, f.present(t, "bufconn", other, p), p) // for another method, and not used up by that
		again := presented{[]string{"DPoP " + f.boundToken(claims{"jti": rand.Text()})}, p.proofs}
		byDPoP(badProof).check(t, f.present(t, "bufconn", m, again), again) // with another token
		passed.check(t, f.present(t, "bufconn", m, p), p)
		for transport := range f.conns {
			byDPoP(replayed).check(t, f.present(t, transport, m, p), p)
		}
		f.clock.Advance(300 * time.Second)
		byDPoP(replayed).check(t, f.present(t, "bufconn", m, p), p)
		f.clock.Advance(time.Second)
		byDPoP(badProof).check(t, f.present(t, "bufconn", m, p), p)
	}

	// The id counts, regardless of the rest of the proof, and each key has its own ids.
	one := f.withProofs(f.proof(unaryCall, claims{"jti": "one"}))
	two := f.withProofs(f.proof(unaryCall, claims{"jti": "one", "htu": "https://second.example.com" + unaryCall, "x": 1}))
	passed.check(t, f.present(t, "bufconn", shapes[0], one), one)
	byDPoP(replayed).check(t, f.present(t, "bufconn", shapes[0], two), two)
	f.key = auth0grpctest.NewDPoPKey()
	f.bound = f.boundToken(nil)
	three := f.withProofs(f.proof(unaryCall, claims{"jti": "one"}))
	passed.check(t, f.present(t, "bufconn", shapes[0], three), three)
}

// Only a proof that passes every other check is remembered: garbage cannot fill the
// memory, or use up another client's proof.
func TestReplayStoreSeesGoodProofsAlone(t *testing.T) {
	store := &countingStore{ReplayStore: auth0grpc.NewReplayStore(1000, func() time.Time { return today })}
	f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) {
		config.DPoP.ReplayStore = store
		config.DPoP.NonceKeys = [][]byte{bytes.Repeat([]byte{1}, 32)}
	})
	for _, row := range matrixRows() {
		p := row.present(f, unaryCall) // all without a nonce
		f.present(t, "bufconn", shapes[0], p)
	}
	if n := store.uses.Load(); n != 0 {
		t.Errorf("%d uses, want none", n)
	}
}

// A call that the rule refuses takes no place in the store, so a client without any
// right cannot fill it. A call that report-only lets through does.
func TestRefusedCallsTakeNoPlace(t *testing.T) {
	const listed, watched, unlistedOne = unaryCall, testgrpc.TestService_EmptyCall_FullMethodName, testgrpc.TestService_FullDuplexCall_FullMethodName
	store := &countingStore{ReplayStore: auth0grpc.NewReplayStore(10, func() time.Time { return today })}
	f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) {
		config.DPoP.ReplayStore = store
		config.MTLS.Mode = auth0grpc.BindingAllowed
		config.Logger = slog.New(slog.DiscardHandler)
		config.Methods = map[string]auth0grpc.Rule{
			listed:  auth0grpc.Scopes("read:orders"),
			watched: auth0grpc.Scopes("write:orders").ReportOnly(),
			testgrpc.TestService_StreamingOutputCall_FullMethodName: auth0grpc.Scopes("read:orders"),
			testgrpc.TestService_HalfDuplexCall_FullMethodName:      auth0grpc.Authenticated().RequireMTLS(),
		}
	})
	right := f.bound
	call := func(m string, p presented) (auth0grpc.Reason, int64) {
		before := store.uses.Load()
		shape := method{m, grpc.StreamDesc{ServerStreams: true, ClientStreams: true}}
		err := f.present(t, "bufconn", shape, p).err
		if err == nil {
			return "", store.uses.Load() - before
		}
		reason, _ := auth0grpc.ReasonFromError(err)
		return reason, store.uses.Load() - before
	}
	for range 20 { // twice as often as the store has places
		f.bound = f.boundToken(claims{"scope": nil})
		for m, want := range map[string]auth0grpc.Reason{
			listed: "INSUFFICIENT_SCOPE", testgrpc.TestService_StreamingOutputCall_FullMethodName: "INSUFFICIENT_SCOPE",
			unlistedOne: "METHOD_NOT_LISTED", testgrpc.TestService_HalfDuplexCall_FullMethodName: "TOKEN_NOT_BOUND",
		} {
			p := f.good(m)
			for range 2 { // a repeated proof gets the same answer: no handler ran
				if reason, uses := call(m, p); reason != want || uses != 0 {
					t.Fatalf("%s: %q and %d uses, want %q and none", m, reason, uses, want)
				}
			}
		}
	}
	p := f.good(watched)
	if reason, uses := call(watched, p); reason != "" || uses != 1 {
		t.Errorf("report-only: %q and %d uses", reason, uses)
	}
	if reason, uses := call(watched, p); reason != "DPOP_PROOF_REPLAYED" || uses != 1 {
		t.Errorf("report-only, again: %q and %d uses", reason, uses)
	}
	f.bound = right
	if reason, uses := call(listed, f.good(listed)); reason != "" || uses != 1 {
		t.Errorf("another user: %q and %d uses", reason, uses)
	}
}

// One client, however busy, leaves places for the others.
func TestOneClientDoesNotFillTheReplayStore(t *testing.T) {
	f := newFixture(t, acceptDPoP, func(f *fixture, config *auth0grpc.Config) {
		config.DPoP.ReplayStore = auth0grpc.NewReplayStore(30, f.clock.Now)
	})
	var refused int
	for range 40 {
		p := f.good(unaryCall)
		if got := f.present(t, "bufconn", shapes[0], p); got.err != nil {
			refused++
			replayUnavailable.check(t, got, p)
			if got.outer == nil || !strings.Contains(got.outer.Error(), "too many proofs of this key") {
				t.Errorf("outside of us: %v", got.outer)
			}
		}
	}
	if refused != 30 {
		t.Errorf("%d of 40 calls refused, want 30: a key may have a third of 30 places", refused)
	}
	f.key = auth0grpctest.NewDPoPKey()
	f.bound = f.boundToken(nil)
	f.inEveryShape(t, passed, f.good, "bufconn")
}

// Stats has the fill level of the default store, of one made by NewReplayStore, and
// of no other.
func TestStatsCountUsedProofs(t *testing.T) {
	for _, test := range []struct {
		name     string
		store    auth0grpc.ReplayStore
		used     int
		capacity int
	}{
		{"default", nil, 2, 1_000_000},
		{"of NewReplayStore", auth0grpc.NewReplayStore(50, func() time.Time { return today }), 2, 50},
		{"another", storeFunc(func(context.Context, string, time.Time) (bool, error) { return true, nil }), 0, 0},
	} {
		f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) { config.DPoP.ReplayStore = test.store })
		for range 2 {
			p := f.good(unaryCall)
			passed.check(t, f.present(t, "bufconn", shapes[0], p), p)
		}
		if s := f.guard.Stats(); s.UsedProofs != test.used || s.UsedProofsCapacity != test.capacity {
			t.Errorf("%s: %d of %d, want %d of %d", test.name, s.UsedProofs, s.UsedProofsCapacity, test.used, test.capacity)
		}
		if f.clock.Advance(301 * time.Second); test.store == nil && f.guard.Stats().UsedProofs != 0 {
			t.Errorf("%s: %d after their time", test.name, f.guard.Stats().UsedProofs)
		}
	}
}

// The signature of a proof passes the signature gate, and is verified last: a proof of another
// key, however long, costs no public-key operation.
func TestProofPassesTheSignatureGate(t *testing.T) {
	f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) {
		config.DPoP.Algorithms = []string{"ES256", "RS256"}
		config.DPoP.NonceKeys = [][]byte{bytes.Repeat([]byte{1}, 32)}
	})
	var begun, good, bad atomic.Int64
	f.guard.SetProofGate(func(context.Context) error { begun.Add(1); return nil }, func(isGood bool) {
		if isGood {
			good.Add(1)
		} else {
			bad.Add(1)
		}
	})
	long, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		t.Fatal(err)
	}
	nonce := f.present(t, "bufconn", shapes[0], f.good(unaryCall)).header.Get("dpop-nonce")[0]
	cut := func(proof string) string {
		return proof[:strings.LastIndexByte(proof, '.')+1] + strings.Repeat("A", 86)
	}
	for _, test := range []struct {
		name   string
		proof  string
		reason auth0grpc.Reason
		want   [3]int64 // checks begun, and ended as good and as bad
	}{
		{"good", f.proof(unaryCall, claims{"nonce": nonce}), "", [3]int64{1, 1, 0}},
		{"signature wrong", cut(f.proof(unaryCall, claims{"nonce": nonce})), "INVALID_DPOP_PROOF", [3]int64{1, 0, 1}},
		{"another key", auth0grpctest.NewDPoPKey().Sign(nil, f.proofClaims(unaryCall, claims{"nonce": nonce})), "INVALID_DPOP_PROOF", [3]int64{}},
		{"a long key of another", auth0grpctest.NewDPoPKeyFrom(long).Sign(nil, f.proofClaims(unaryCall, claims{"nonce": nonce})), "INVALID_DPOP_PROOF", [3]int64{}},
		{"another method", f.proof(unaryCall, claims{"nonce": nonce, "htm": "GET"}), "INVALID_DPOP_PROOF", [3]int64{}},
		{"no nonce", f.proof(unaryCall, nil), "USE_DPOP_NONCE", [3]int64{}},
		{"no nonce and a wrong signature", cut(f.proof(unaryCall, nil)), "USE_DPOP_NONCE", [3]int64{}},
	} {
		begun.Store(0)
		good.Store(0)
		bad.Store(0)
		reason, _ := auth0grpc.ReasonFromError(f.present(t, "bufconn", shapes[0], f.withProofs(test.proof)).err)
		if got := [3]int64{begun.Load(), good.Load(), bad.Load()}; reason != test.reason || got != test.want {
			t.Errorf("%s: %q, checks %v, want %q and %v", test.name, reason, got, test.reason, test.want)
		}
	}

	f.guard.SetProofGate(func(context.Context) error { return context.DeadlineExceeded }, func(bool) { t.Error("a check ended that did not begin") })
	if err := f.present(t, "bufconn", shapes[0], f.withProofs(f.proof(unaryCall, claims{"nonce": nonce}))).err; status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("turned away at the gate: %v", err)
	}
}

// BenchmarkForeignProof is the cost of a proof by a key that is not the token's.
func BenchmarkForeignProof(b *testing.B) {
	f := newFixture(b, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) {
		config.DPoP.Algorithms = []string{"ES256", "RS256"}
	})
	for _, bits := range []int{2048, 4096, 8192} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			b.Fatal(err)
		}
		proof := auth0grpctest.NewDPoPKeyFrom(key).Sign(nil, f.proofClaims(unaryCall, nil))
		md := metadata.Pairs("authorization", "DPoP "+f.bound, "dpop", proof)
		b.Run(fmt.Sprintf("RSA-%d", bits), func(b *testing.B) {
			ctx := metadata.NewIncomingContext(b.Context(), md)
			interceptor := f.guard.UnaryServerInterceptor()
			for b.Loop() {
				if _, err := interceptor(ctx, nil, &grpc.UnaryServerInfo{FullMethod: unaryCall}, nil); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

// A countingStore counts how often it is asked.
type countingStore struct {
	auth0grpc.ReplayStore
	uses atomic.Int64
}

func (s *countingStore) Use(ctx context.Context, id string, until time.Time) (bool, error) {
	s.uses.Add(1)
	return s.ReplayStore.Use(ctx, id, until)
}

// The claims come from the cache, and the proof is verified on every call.
func TestProofIsVerifiedOnEveryCall(t *testing.T) {
	store := &countingStore{ReplayStore: auth0grpc.NewReplayStore(1000, func() time.Time { return today })}
	f := newFixture(t, acceptDPoP, recordDecisions, func(_ *fixture, config *auth0grpc.Config) { config.DPoP.ReplayStore = store })
	f.inEveryShape(t, passed, f.good, everyTransport...)
	calls := int64(len(everyTransport) * len(shapes))
	var hits, allowed int64
	for _, d := range f.decisions.take() {
		if d.Outcome == auth0grpc.OutcomeAllowed {
			allowed++
			if d.CacheHit {
				hits++
			}
		}
	}
	if store.uses.Load() != calls || allowed != calls || hits != calls-1 {
		t.Errorf("%d proofs recorded and %d cache hits in %d of %d calls, want all, and all hits but the first",
			store.uses.Load(), hits, allowed, calls)
	}
	f.inEveryShape(t, byDPoP(badProof), func(m string) presented { return f.withProofs(f.proof("/other", nil)) }, "bufconn")
	if store.uses.Load() != calls {
		t.Errorf("bad proofs were recorded")
	}
}

// Of 64 uses at once of one proof exactly one passes.
func TestRacingProof(t *testing.T) {
	f := newFixture(t, acceptDPoP)
	for _, m := range shapes {
		p := f.good(m.name)
		var first, again atomic.Int64
		var group sync.WaitGroup
		start := make(chan struct{})
		for range 64 {
			group.Go(func() {
				ctx := metadata.AppendToOutgoingContext(p.context(t.Context()), "authorization", p.authorization[0])
				<-start
				err := exchange(ctx, f.conns["bufconn"], m).err
				switch reason, _ := auth0grpc.ReasonFromError(err); {
				case err == nil:
					first.Add(1)
				case reason == auth0grpc.ReasonDPoPProofReplayed:
					again.Add(1)
				default:
					t.Errorf("%s: %v", m.name, err)
				}
			})
		}
		close(start)
		group.Wait()
		if first.Load() != 1 || again.Load() != 63 {
			t.Errorf("%s: %d passed and %d were replays, want 1 and 63", m.name, first.Load(), again.Load())
		}
	}
}

// A storeFunc is a ReplayStore that does as a test says.
type storeFunc func(ctx context.Context, id string, until time.Time) (bool, error)

func (f storeFunc) Use(ctx context.Context, id string, until time.Time) (bool, error) {
	return f(ctx, id, until)
}

// A store that cannot tell is no reason to let a call pass.
func TestReplayStoreFails(t *testing.T) {
	why := errors.New("out of order")
	for _, test := range []struct {
		name  string
		store storeFunc
		want  challenged
	}{
		{"error", func(context.Context, string, time.Time) (bool, error) { return false, why }, replayUnavailable},
		{"error, and first all the same", func(context.Context, string, time.Time) (bool, error) { return true, why }, replayUnavailable},
		{"deadline of its own", func(context.Context, string, time.Time) (bool, error) { return false, context.DeadlineExceeded }, replayUnavailable},
		{"panic", func(context.Context, string, time.Time) (bool, error) { panic("leak") }, byDPoP(brokenOff)},
		{"never first", func(context.Context, string, time.Time) (bool, error) { return false, nil }, byDPoP(replayed)},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) { config.DPoP.ReplayStore = test.store })
			f.inEveryShape(t, test.want, f.good, everyTransport...)
			if got := f.present(t, "bufconn", shapes[0], f.good(unaryCall)); strings.HasPrefix(test.name, "error") && !errors.Is(got.outer, why) {
				t.Errorf("outside of us: %v, want it to wrap the cause", got.outer)
			}
		})
	}
}

// A full memory refuses, and says so, until there is room again.
func TestReplayStoreIsFull(t *testing.T) {
	f := newFixture(t, acceptDPoP, func(f *fixture, config *auth0grpc.Config) {
		config.DPoP.ReplayStore = auth0grpc.NewReplayStore(1, f.clock.Now)
	})
	used := f.good(unaryCall)
	passed.check(t, f.present(t, "bufconn", shapes[0], used), used)
	f.inEveryShape(t, replayUnavailable, f.good, "bufconn")
	if got := f.present(t, "bufconn", shapes[0], f.good(unaryCall)).outer; got == nil || !strings.Contains(got.Error(), "full") {
		t.Errorf("outside of us: %v, want it to say that the memory is full", got)
	}
	byDPoP(replayed).check(t, f.present(t, "bufconn", shapes[0], used), used) // known proofs stay known
	f.clock.Advance(301 * time.Second)
	next := f.good(unaryCall)
	passed.check(t, f.present(t, "bufconn", shapes[0], next), next)
}

// A caller that has gone gets its own code and no verdict.
func TestBindingAfterTheCallerLeft(t *testing.T) {
	for _, test := range []struct {
		end  error
		want codes.Code
	}{{context.Canceled, codes.Canceled}, {context.DeadlineExceeded, codes.DeadlineExceeded}} {
		var leave func()
		wait := func(ctx context.Context) error {
			leave()
			<-ctx.Done()
			return fmt.Errorf("waiting: %w", ctx.Err())
		}
		f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) {
			config.DPoP.ReplayStore = storeFunc(func(ctx context.Context, _ string, _ time.Time) (bool, error) { return false, wait(ctx) })
			config.MTLS = auth0grpc.MTLSConfig{Mode: auth0grpc.BindingAllowed, Certificate: func(ctx context.Context) (*x509.Certificate, error) { return nil, wait(ctx) }}
		})
		for name, p := range map[string]presented{
			"store": f.good(unaryCall), "certificate": bearing(f.token(claims{"cnf": claims{"x5t#S256": "x"}})),
		} {
			ctx := &endedContext{Context: t.Context(), done: make(chan struct{}), end: test.end}
			leave = sync.OnceFunc(func() { close(ctx.done) })
			_, err := f.guard.UnaryServerInterceptor()(metadata.NewIncomingContext(ctx, metadata.MD{"authorization": p.authorization, "dpop": p.proofs}),
				nil, &grpc.UnaryServerInfo{FullMethod: unaryCall}, func(context.Context, any) (any, error) { t.Error("the handler ran"); return nil, nil })
			if status.Code(err) != test.want || !errors.Is(err, test.end) {
				t.Errorf("%s, %v: %v", name, test.end, err)
			}
		}
	}
}

// An endedContext ends as its test says.
type endedContext struct {
	context.Context
	done chan struct{}
	end  error
}

func (c *endedContext) Done() <-chan struct{} { return c.done }
func (c *endedContext) Err() error {
	select {
	case <-c.done:
		return c.end
	default:
		return nil
	}
}

var oldNonceKey, newNonceKey = bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 48)

// noncesOf returns a fixture whose proofs must contain a nonce of the keys.
func noncesOf(t *testing.T, keys ...[]byte) *fixture {
	t.Helper()
	return newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) { config.DPoP.NonceKeys = keys })
}

// withNonce is a good call whose proof has a nonce.
func (f *fixture) withNonce(nonce any) func(string) presented {
	return func(m string) presented { return f.withProofs(f.proof(m, claims{"nonce": nonce})) }
}

// nonceFor asks for a nonce as a client does: by a call without one.
func (f *fixture) nonceFor(t *testing.T) string {
	t.Helper()
	p := f.good(unaryCall)
	got := f.present(t, "bufconn", shapes[0], p)
	byDPoP(wantsNonce).check(t, got, p)
	nonce := got.header.Get("dpop-nonce")
	if diff := cmp.Diff(nonce, got.trailer.Get("dpop-nonce")); diff != "" || len(nonce) != 1 {
		t.Fatalf("nonces %q in the header, (-header +trailer):\n%s", nonce, diff)
	}
	return nonce[0]
}

func TestNonceFlow(t *testing.T) {
	f := noncesOf(t, oldNonceKey)
	f.inEveryShape(t, byDPoP(wantsNonce), f.good, everyTransport...)
	nonce := f.nonceFor(t)
	f.inEveryShape(t, passed, f.withNonce(nonce), everyTransport...)
	for name, wrong := range map[string]any{"made up": strings.Repeat("A", 32), "empty": "", "cut": nonce[1:], "padded": nonce + "="} {
		t.Run(name, func(t *testing.T) { f.inEveryShape(t, byDPoP(wantsNonce), f.withNonce(wrong), "bufconn") })
	}
	f.clock.Advance(5 * time.Minute)
	f.inEveryShape(t, passed, f.withNonce(nonce), "bufconn")
	f.clock.Advance(time.Second)
	f.inEveryShape(t, byDPoP(wantsNonce), f.withNonce(nonce), "bufconn")

	// A nonce is no proof: all else is checked before it, and it cannot be replayed.
	f.inEveryShape(t, byDPoP(badProof), func(m string) presented {
		return f.withProofs(f.proof(m, claims{"nonce": f.nonceFor(t), "htm": "GET"}))
	}, "bufconn")
	p := f.withNonce(f.nonceFor(t))(unaryCall)
	passed.check(t, f.present(t, "bufconn", shapes[0], p), p)
	byDPoP(replayed).check(t, f.present(t, "bufconn", shapes[0], p), p)
}

// Every answer to a proof that was good brings the nonce for the next (RFC 9449,
// section 8.2), in the trailer, where streams have it too.
func TestNonceComesWithSuccess(t *testing.T) {
	f := noncesOf(t, oldNonceKey)
	nonce := f.nonceFor(t)
	for transport := range f.conns {
		for _, m := range shapes {
			f.clock.Advance(time.Minute)
			got := f.present(t, transport, m, f.withNonce(nonce)(m.name))
			next := got.trailer.Get("dpop-nonce")
			if got.err != nil || len(next) != 1 || next[0] == nonce {
				t.Fatalf("%s%s: %v with nonces %q", transport, m.name, got.err, next)
			}
			nonce = next[0]
		}
	}
	if got := f.present(t, "bufconn", shapes[0], bearing(f.plain)); got.err != nil || got.trailer.Get("dpop-nonce") != nil {
		t.Errorf("a bearer call has nonces %q, %v", got.trailer.Get("dpop-nonce"), got.err)
	}
	without := newFixture(t, acceptDPoP)
	if got := without.present(t, "bufconn", shapes[0], without.good(unaryCall)); got.err != nil || got.trailer.Get("dpop-nonce") != nil {
		t.Errorf("without nonces: %q, %v", got.trailer.Get("dpop-nonce"), got.err)
	}
}

// Replicas take each other's nonces, also while their key is being replaced.
func TestNonceKeysRotate(t *testing.T) {
	for _, test := range []struct {
		name        string
		issue, take [][]byte
		want        challenged
	}{
		{"the same key", [][]byte{oldNonceKey}, [][]byte{oldNonceKey}, passed},
		{"old key, new one added", [][]byte{oldNonceKey}, [][]byte{oldNonceKey, newNonceKey}, passed},
		{"new key issues already", [][]byte{newNonceKey, oldNonceKey}, [][]byte{oldNonceKey, newNonceKey}, passed},
		{"old key withdrawn", [][]byte{oldNonceKey}, [][]byte{newNonceKey}, byDPoP(wantsNonce)},
	} {
		t.Run(test.name, func(t *testing.T) {
			issuer, taker := noncesOf(t, test.issue...), noncesOf(t, test.take...)
			taker.inEveryShape(t, test.want, taker.withNonce(issuer.nonceFor(t)), "bufconn")
		})
	}
}

// An mtls has the certificates and addresses of a server that clients reach with and
// without a certificate.
type mtls struct {
	authority *auth0grpctest.CertificateAuthority
	right     tls.Certificate
	bound     string            // a token, bound to right
	addresses map[string]string // by transport
}

// tlsTransports has the transports that serveTLS adds.
var tlsTransports = []string{"TLS", "ServeHTTP over TLS"}

// serveTLS allows both bindings, and adds a server with TLS over each of tlsTransports.
func serveTLS(f *fixture, config *auth0grpc.Config) {
	acceptDPoP(f, config)
	f.mtls = &mtls{authority: auth0grpctest.NewCertificateAuthority()}
	f.mtls.right = f.mtls.authority.Client("right")
	config.MTLS.Mode = auth0grpc.BindingAllowed
}

// listenTLS starts the servers with TLS.
func (f *fixture) listenTLS(tb testing.TB) {
	tb.Helper()
	f.mtls.bound = f.tenant.CertificateBoundToken(claims{"scope": "read:orders"}, f.mtls.right.Leaf)
	server := &tls.Config{
		Certificates: []tls.Certificate{f.mtls.authority.Server("127.0.0.1")},
		ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: f.mtls.authority.Pool(),
		NextProtos: []string{"h2"},
	}
	f.mtls.addresses = map[string]string{
		"TLS":                listen(tb, f.newServer(grpc.Creds(credentials.NewTLS(server)))),
		"ServeHTTP over TLS": f.serveHTTPS(tb, server),
	}
}

func (f *fixture) serveHTTPS(tb testing.TB, config *tls.Config) string {
	tb.Helper()
	server := httptest.NewUnstartedServer(f.server)
	server.EnableHTTP2 = true
	server.TLS = config.Clone()
	server.StartTLS()
	tb.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// connect opens a connection of its own, with at most one certificate.
func (f *fixture) connect(tb testing.TB, transport string, certificates ...tls.Certificate) string {
	tb.Helper()
	name := fmt.Sprint(transport, len(f.conns))
	config := &tls.Config{RootCAs: f.mtls.authority.Pool(), Certificates: certificates}
	f.conns[name] = dial(tb, f.mtls.addresses[transport], credentials.NewTLS(config))
	return name
}

func (f *fixture) over(t *testing.T, conn string, want challenged, p presented) {
	t.Helper()
	for _, m := range shapes {
		got := f.present(t, conn, m, p)
		got.overHTTP = strings.HasPrefix(conn, "ServeHTTP")
		want.check(t, got, p)
	}
}

// The rows of mutual TLS: certificate, token and scheme.
func TestMTLSMatrix(t *testing.T) {
	with := func(dpop, mtls auth0grpc.BindingMode) func(*fixture, *auth0grpc.Config) {
		return func(_ *fixture, config *auth0grpc.Config) { config.DPoP.Mode, config.MTLS.Mode = dpop, mtls }
	}
	const off, allowed, required = auth0grpc.BindingDisabled, auth0grpc.BindingAllowed, auth0grpc.BindingRequired
	type wants struct {
		bearerBound, dpopBound              challenged // by the connection with the right certificate
		bearerBoundOther, dpopBoundOther    challenged // with another one, and with none
		bearerPlain, dpopPlain, bearerProof challenged
	}
	bearerOff := func(o outcome) challenged { return bearerAlone(o) }
	mtlsOnly := wants{
		passed, passed, bearerOff(otherCertificate), bearerOff(otherCertificate), passed, bearerOff(notBoundToKey), passed,
	}
	mtlsRequired := mtlsOnly
	mtlsRequired.bearerPlain, mtlsRequired.dpopPlain = bearerOff(notBoundToCert), bearerOff(notBoundToCert)
	both := wants{
		passed, passed, byBearer(otherCertificate), byDPoP(otherCertificate), passed, byDPoP(notBoundToKey), byBearer(strayProof),
	}
	for _, mode := range []struct {
		name   string
		change func(*fixture, *auth0grpc.Config)
		want   wants
	}{
		{"disabled", with(off, off), wants{
			bearerOff(bound), bearerOff(dpopNotAccepted), bearerOff(bound), bearerOff(dpopNotAccepted), passed, bearerOff(dpopNotAccepted), bearerOff(bound),
		}},
		{"DPoP alone", with(allowed, off), wants{
			byBearer(bound), byDPoP(bound), byBearer(bound), byDPoP(bound), passed, byDPoP(notBoundToKey), byBearer(bound),
		}},
		{"allowed", with(off, allowed), mtlsOnly},
		{"required", with(off, required), mtlsRequired},
		{"required by the row", func(f *fixture, config *auth0grpc.Config) {
			with(off, allowed)(f, config)
			config.Methods[allMethods] = auth0grpc.Scopes("read:orders").RequireMTLS()
		}, mtlsRequired},
		{"both allowed", with(allowed, allowed), both},
		{"DPoP required", with(required, allowed), wants{
			dpopAlone(wantsDPoP), dpopAlone(notBoundToKey), dpopAlone(wantsDPoP), dpopAlone(notBoundToKey),
			dpopAlone(wantsDPoP), dpopAlone(notBoundToKey), dpopAlone(wantsDPoP),
		}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			f := newFixture(t, serveTLS, mode.change)
			for _, transport := range tlsTransports {
				conns := map[string]string{
					"right": f.connect(t, transport, f.mtls.right), "other": f.connect(t, transport, f.mtls.authority.Client("other")), "none": f.connect(t, transport),
				}
				as := func(scheme, token string) presented { return presented{authorization: []string{scheme + " " + token}} }
				stray := presented{bearer(f.mtls.bound), []string{f.key.Proof(authority+unaryCall, f.mtls.bound, claims{"iat": today})}}
				// Twice: the second time the token is known, with its certificate.
				for range 2 {
					f.over(t, conns["right"], mode.want.bearerBound, as("Bearer", f.mtls.bound))
					f.over(t, conns["right"], mode.want.dpopBound, as("DPoP", f.mtls.bound))
					f.over(t, conns["right"], mode.want.bearerProof, stray)
					for _, thief := range []string{"other", "none"} {
						f.over(t, conns[thief], mode.want.bearerBoundOther, as("Bearer", f.mtls.bound))
						f.over(t, conns[thief], mode.want.dpopBoundOther, as("DPoP", f.mtls.bound))
					}
					for _, conn := range conns {
						f.over(t, conn, mode.want.bearerPlain, as("Bearer", f.plain))
						f.over(t, conn, mode.want.dpopPlain, as("DPoP", f.plain))
					}
				}
			}
		})
	}
}

// A server that checks certificates alone takes no token that is bound to a key,
// not even with a proof.
func TestKeyWhereCertificatesAreChecked(t *testing.T) {
	f := newFixture(t, serveTLS, func(_ *fixture, config *auth0grpc.Config) { config.DPoP = auth0grpc.DPoPConfig{} })
	for _, cnf := range []claims{
		{"jkt": f.key.Thumbprint()},
		{"jkt": f.key.Thumbprint(), "x5t#S256": auth0grpctest.CertificateThumbprint(f.mtls.right.Leaf)},
	} {
		f.bound = f.token(claims{"cnf": cnf})
		conn := f.connect(t, "TLS", f.mtls.right)
		for range 2 {
			f.over(t, conn, bearerAlone(bound), bearing(f.bound))
			f.over(t, conn, bearerAlone(bound), f.withProofs())
			f.inEveryShape(t, bearerAlone(bound), f.good, conn)
		}
	}
}

// A connection without TLS has no certificate.
func TestMTLSWithoutTLS(t *testing.T) {
	f := newFixture(t, serveTLS)
	for _, transport := range everyTransport {
		f.over(t, transport, byBearer(otherCertificate), bearing(f.mtls.bound))
	}
	// A call that is not from a network has no peer.
	for shape, got := range direct(t, t.Context(), f.guard, unaryCall, metadata.Pairs("authorization", "Bearer "+f.mtls.bound)) {
		if reason, _ := auth0grpc.ReasonFromError(got.err); reason != auth0grpc.ReasonWrongCertificate {
			t.Errorf("%s without a peer: %v", shape, got.err)
		}
	}
}

// The shortcut for the certificate that was right last time is for that one
// alone, and a client that comes back with it is let in again.
func TestMTLSConnectionsComeAndGo(t *testing.T) {
	f := newFixture(t, serveTLS)
	other := f.mtls.authority.Client("other")
	for _, transport := range tlsTransports {
		first, thief := f.connect(t, transport, f.mtls.right), f.connect(t, transport, other)
		for range 3 {
			f.over(t, first, passed, bearing(f.mtls.bound))
			f.over(t, thief, byBearer(otherCertificate), bearing(f.mtls.bound))
		}
		again := f.connect(t, transport, f.mtls.right)
		f.over(t, again, passed, bearing(f.mtls.bound))
		if err := f.conns[first].Close(); err != nil {
			t.Fatal(err)
		}
		runtime.GC() // the certificate of the closed connection goes
		f.over(t, thief, byBearer(otherCertificate), bearing(f.mtls.bound))
		f.over(t, f.connect(t, transport, f.mtls.right), passed, bearing(f.mtls.bound))
		f.over(t, again, passed, bearing(f.mtls.bound))
		// One token, many at once, from both sides.
		var group sync.WaitGroup
		for i := range 32 {
			group.Go(func() {
				conn := []string{again, thief}[i%2]
				ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+f.mtls.bound)
				if err := exchange(ctx, f.conns[conn], shapes[0]).err; (err == nil) != (conn == again) {
					t.Errorf("%s: %v", conn, err)
				}
			})
		}
		group.Wait()
	}
}

// A token may be bound to a certificate and to a key, and then wants both.
func TestBothBindings(t *testing.T) {
	f := newFixture(t, serveTLS)
	f.bound = f.token(claims{"cnf": claims{
		"jkt": f.key.Thumbprint(), "x5t#S256": auth0grpctest.CertificateThumbprint(f.mtls.right.Leaf),
	}})
	for _, transport := range tlsTransports {
		right, other := f.connect(t, transport, f.mtls.right), f.connect(t, transport, f.mtls.authority.Client("other"))
		for range 2 {
			for _, m := range shapes {
				for _, test := range []struct {
					conn string
					p    presented
					want challenged
				}{
					{right, f.good(m.name), passed},
					{other, f.good(m.name), byDPoP(otherCertificate)},
					{right, f.withProofs(), byDPoP(missingProof)},
					{right, bearing(f.bound), byBearer(boundAsBearer)},
				} {
					got := f.present(t, test.conn, m, test.p)
					got.overHTTP = strings.HasPrefix(transport, "ServeHTTP")
					test.want.check(t, got, test.p)
				}
			}
		}
	}
}

// Behind a proxy the certificate comes from a function, and from it alone.
func TestCertificateFunction(t *testing.T) {
	right, other := auth0grpctest.NewCertificateAuthority().Client("right"), auth0grpctest.NewCertificateAuthority().Client("other")
	var next func(context.Context) (*x509.Certificate, error)
	f := newFixture(t, serveTLS, func(_ *fixture, config *auth0grpc.Config) {
		config.MTLS.Certificate = func(ctx context.Context) (*x509.Certificate, error) { return next(ctx) }
	})
	token := bearing(f.tenant.CertificateBoundToken(claims{"scope": "read:orders"}, right.Leaf))
	ofConnection := bearing(f.mtls.bound)
	conn := f.connect(t, "TLS", f.mtls.right)
	why := errors.New("no such proxy")
	for _, test := range []struct {
		name        string
		certificate *x509.Certificate
		err         error
		p           presented
		want        challenged
	}{
		{"right", right.Leaf, nil, token, passed},
		{"right, another pointer", &x509.Certificate{Raw: right.Leaf.Raw}, nil, token, passed},
		{"other", other.Leaf, nil, token, byBearer(otherCertificate)},
		{"none", nil, nil, token, byBearer(otherCertificate)},
		{"error", nil, why, token, byBearer(otherCertificate)},
		{"error and right", right.Leaf, why, token, byBearer(otherCertificate)},
		{"empty", &x509.Certificate{}, nil, token, byBearer(otherCertificate)},
		{"right of the connection alone", nil, nil, ofConnection, byBearer(otherCertificate)},
		{"no binding, none", nil, nil, bearing(f.plain), passed},
		{"no binding, error", nil, why, bearing(f.plain), passed},
	} {
		t.Run(test.name, func(t *testing.T) {
			next = func(context.Context) (*x509.Certificate, error) { return test.certificate, test.err }
			for range 2 {
				f.over(t, conn, test.want, test.p)
			}
			if got := f.present(t, conn, shapes[0], test.p).outer; test.err != nil && test.want.kind != nil && !errors.Is(got, why) {
				t.Errorf("outside of us: %v, want it to wrap the cause", got)
			}
		})
	}
	t.Run("panic", func(t *testing.T) {
		next = func(context.Context) (*x509.Certificate, error) { panic("leak") }
		f.over(t, conn, byBearer(brokenOff), token)
	})
	t.Run("by the peer", func(t *testing.T) {
		next = func(ctx context.Context) (*x509.Certificate, error) {
			if p, ok := peer.FromContext(ctx); !ok || p.AuthInfo.AuthType() != "tls" {
				return nil, why
			}
			return right.Leaf, nil
		}
		f.over(t, conn, passed, token)
	})
}

// Without a cache there is no shortcut, and the checks are the same.
func TestBindingsWithoutCache(t *testing.T) {
	f := newFixture(t, serveTLS, func(_ *fixture, config *auth0grpc.Config) { config.CacheSize = auth0grpc.NoCache })
	f.bound = f.boundToken(nil)
	f.inEveryShape(t, passed, f.good, everyTransport...)
	f.inEveryShape(t, byBearer(boundAsBearer), func(string) presented { return bearing(f.bound) }, everyTransport...)
	f.over(t, f.connect(t, "TLS", f.mtls.right), passed, bearing(f.mtls.bound))
	f.over(t, f.connect(t, "TLS"), byBearer(otherCertificate), bearing(f.mtls.bound))
}

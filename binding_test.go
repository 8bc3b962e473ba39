package auth0grpc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// authority is the address that clients use for the servers of these tests. It differs
// from the dialled address, which proves nothing.
const authority = "https://rpc.example.com"

// acceptDPoP allows DPoP, by a key of its own.
func acceptDPoP(f *fixture, config *auth0grpc.Config) {
	f.key = auth0grpctest.NewDPoPKey()
	config.DPoP = auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{authority}}
}

// boundToken is a token that is bound to the key of the fixture.
func (f *fixture) boundToken(more claims) string {
	return f.tenant.BoundToken(with(claims{"scope": "read:orders"}, more), f.key)
}

// proofClaims returns the claims of a good proof for one call with the bound token.
func (f *fixture) proofClaims(fullMethod string, more claims) claims {
	return with(claims{
		"htm": "POST", "htu": authority + fullMethod, "iat": f.clock.Now().Unix(), "jti": rand.Text(), "ath": hashOf(f.bound),
	}, more)
}

// proof is a proof for one call with the bound token; a nil value in more removes
// a claim.
func (f *fixture) proof(fullMethod string, more claims) string {
	return f.key.Proof(authority+fullMethod, f.bound, with(claims{"iat": f.clock.Now()}, more))
}

// hashOf is the ath of a proof for a token.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// A presented holds the credentials of a call.
type presented struct{ authorization, proofs []string }

// good is a call as it should be.
func (f *fixture) good(fullMethod string) presented {
	return presented{[]string{"DPoP " + f.bound}, []string{f.proof(fullMethod, nil)}}
}

// withProofs is a call that is good but for its proofs.
func (f *fixture) withProofs(proofs ...string) presented {
	return presented{[]string{"DPoP " + f.bound}, proofs}
}

func (p presented) context(ctx context.Context) context.Context {
	for _, proof := range p.proofs {
		ctx = metadata.AppendToOutgoingContext(ctx, "dpop", proof)
	}
	return ctx
}

// A challenged is an outcome with all the challenges that it comes with.
type challenged struct {
	outcome
	challenges []string
}

func (want challenged) check(t *testing.T, got result, p presented) {
	t.Helper()
	if want.kind != nil {
		with := want.withCause(status.Convert(got.err))
		challenges := slices.Clone(want.challenges)
		for i := range challenges {
			challenges[i] = strings.Replace(challenges[i], want.message, with.message, 1)
		}
		if diff := cmp.Diff(challenges, got.header.Get("www-authenticate")); diff != "" {
			t.Errorf("challenges in the header (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(challenges, got.trailer.Get("www-authenticate")); diff != "" && !got.overHTTP {
			t.Errorf("challenges in the trailer (-want +got):\n%s", diff)
		}
		if hasNonce := got.header.Get("dpop-nonce") != nil; hasNonce != (want.reason == "USE_DPOP_NONCE") {
			t.Errorf("dpop-nonce is there: %t", hasNonce)
		}
		want.challenge = "" // outcome.check knows of one alone
		got.header, got.trailer = got.header.Copy(), got.trailer.Copy()
		got.header.Delete("www-authenticate")
		got.trailer.Delete("www-authenticate")
	}
	want.outcome.check(t, got, append(p.authorization, p.proofs...)...)
}

// Where DPoP is on, both schemes are offered, and the error goes to the one that
// was used (RFC 9449, section 7.2); where it is required, DPoP is offered alone.
func byBearer(want outcome) challenged {
	return challenged{want, []string{want.challenge, `DPoP algs="ES256"`}}
}

func byDPoP(want outcome) challenged {
	return challenged{want, append(dpopAlone(want).challenges, "Bearer")}
}

func dpopAlone(want outcome) challenged {
	_, parameters, ok := strings.Cut(want.challenge, " ")
	if ok {
		parameters += ", "
	}
	return challenged{want, []string{"DPoP " + parameters + `algs="ES256"`}}
}

func bearerAlone(want outcome) challenged { return challenged{want, []string{want.challenge}} }

// badPresentation is the outcome of a token or proof that was presented wrongly.
func badPresentation(code string, reason auth0grpc.Reason, text string) outcome {
	return outcome{
		code: codes.Unauthenticated, reason: reason, kind: auth0grpc.ErrInvalidToken, message: text,
		challenge: `Bearer error="` + code + `", error_description="` + text + `"`,
	}
}

var (
	passed            = challenged{outcome: passes}
	wantsDPoP         = badPresentation("invalid_request", "DPOP_REQUIRED", "the method wants a token under the scheme DPoP")
	strayProof        = badPresentation("invalid_request", "MALFORMED_AUTHORIZATION", "a proof was sent with a token that is not bound to a key")
	missingProof      = badPresentation("invalid_request", "MISSING_DPOP_PROOF", "exactly one DPoP proof is wanted")
	badProof          = badPresentation("invalid_dpop_proof", "INVALID_DPOP_PROOF", "the DPoP proof does not fit the call")
	replayed          = badPresentation("invalid_dpop_proof", "DPOP_PROOF_REPLAYED", "the DPoP proof was used before")
	wantsNonce        = badPresentation("use_dpop_nonce", "USE_DPOP_NONCE", "the DPoP proof lacks a nonce that the server issued")
	boundAsBearer     = badPresentation("invalid_token", "BOUND_TOKEN", "the access token is bound to a key, so it wants the scheme DPoP")
	notBoundToKey     = badPresentation("invalid_token", "TOKEN_NOT_BOUND", "the access token is not bound to a key")
	otherKey          = badPresentation("invalid_token", "INVALID_DPOP_PROOF", "the DPoP proof is by another key than the access token is bound to")
	notBoundToCert    = badPresentation("invalid_token", "TOKEN_NOT_BOUND", "the access token is not bound to a certificate")
	otherCertificate  = badPresentation("invalid_token", "WRONG_CERTIFICATE", "the access token is bound to another certificate")
	replayUnavailable = challenged{outcome: outcome{
		code: codes.Unavailable, reason: "REPLAY_STORE_UNAVAILABLE", kind: auth0grpc.ErrReplayStoreUnavailable,
		message: "the memory of used DPoP proofs is unavailable", retry: true,
	}}
)

// present makes a call over one transport.
func (f *fixture) present(t *testing.T, transport string, m method, p presented) result {
	t.Helper()
	return f.call(p.context(t.Context()), transport, m, p.authorization...)
}

// inEveryShape asserts the outcome over the transports in every shape; a proof
// is good once and for one method.
func (f *fixture) inEveryShape(t *testing.T, want challenged, newPresented func(fullMethod string) presented, transports ...string) {
	t.Helper()
	for _, transport := range transports {
		for _, m := range shapes {
			t.Run(transport+m.name, func(t *testing.T) {
				p := newPresented(m.name)
				want.check(t, f.present(t, transport, m, p), p)
			})
		}
	}
}

// A matrixRow is one request of the matrix of outcomes of Auth0's own libraries, with
// its result in each mode.
type matrixRow struct {
	name                        string
	present                     func(f *fixture, fullMethod string) presented
	disabled, allowed, required challenged
}

func matrixRows() []matrixRow {
	bearer := func(proofs ...func(f *fixture, fullMethod string) string) func(f *fixture, fullMethod string) presented {
		return func(f *fixture, fullMethod string) presented {
			p := bearing(f.plain)
			for _, proof := range proofs {
				p.proofs = append(p.proofs, proof(f, fullMethod))
			}
			return p
		}
	}
	good := func(f *fixture, fullMethod string) string { return f.proof(fullMethod, nil) }
	bad := func(f *fixture, fullMethod string) string { return f.proof(fullMethod, claims{"htm": "GET"}) }
	// as presents the tokens of a call in another way.
	as := func(scheme string, token func(*fixture) string, call func(*fixture, string) presented) func(*fixture, string) presented {
		return func(f *fixture, fullMethod string) presented {
			p := call(f, fullMethod)
			p.authorization = []string{scheme + " " + token(f)}
			return p
		}
	}
	ofKey := func(f *fixture) string { return f.bound }
	plain := func(f *fixture) string { return f.plain }
	return []matrixRow{
		{"Bearer, unbound token", bearer(), passed, passed, dpopAlone(wantsDPoP)},
		{"Bearer, unbound token, proof", bearer(good), passed, byBearer(strayProof), dpopAlone(wantsDPoP)},
		{"Bearer, bound token", as("Bearer", ofKey, bearer()), bearerAlone(bound), byBearer(boundAsBearer), dpopAlone(wantsDPoP)},
		{"Bearer, bound token, proof", as("Bearer", ofKey, bearer(good)), bearerAlone(bound), byBearer(boundAsBearer), dpopAlone(wantsDPoP)},
		{"DPoP, bound token, good proof", (*fixture).good, bearerAlone(dpopNotAccepted), passed, passed},
		{"dpop, in lower case", as("dpop", ofKey, (*fixture).good), bearerAlone(dpopNotAccepted), passed, passed},
		{"DPoP, bound token, no proof", as("DPoP", ofKey, bearer()), bearerAlone(dpopNotAccepted), byDPoP(missingProof), dpopAlone(missingProof)},
		{"DPoP, bound token, two proofs", as("DPoP", ofKey, bearer(good, good)), bearerAlone(dpopNotAccepted), byDPoP(missingProof), dpopAlone(missingProof)},
		{"DPoP, unbound token", as("DPoP", plain, bearer()), bearerAlone(dpopNotAccepted), byDPoP(notBoundToKey), dpopAlone(notBoundToKey)},
		{"DPoP, unbound token, proof", as("DPoP", plain, bearer(good)), bearerAlone(dpopNotAccepted), byDPoP(notBoundToKey), dpopAlone(notBoundToKey)},
		{"DPoP, bad proof", as("DPoP", ofKey, bearer(bad)), bearerAlone(dpopNotAccepted), byDPoP(badProof), dpopAlone(badProof)},
		{"DPoP, proof by another key", as("DPoP", ofKey, bearer(func(f *fixture, fullMethod string) string {
			return auth0grpctest.NewDPoPKey().Sign(nil, f.proofClaims(fullMethod, nil))
		})), bearerAlone(dpopNotAccepted), byDPoP(otherKey), dpopAlone(otherKey)},
		{"another scheme", as("Token", ofKey, (*fixture).good), bearerAlone(badAuthorization), byBearer(badAuthorization), dpopAlone(badAuthorization)},
		{"no token", func(*fixture, string) presented { return presented{} }, bearerAlone(missing), byBearer(missing), dpopAlone(missing)},
		{"no token, proof", func(f *fixture, fullMethod string) presented {
			return presented{proofs: []string{f.proof(fullMethod, nil)}}
		}, bearerAlone(missing), byBearer(missing), dpopAlone(missing)},
		{"DPoP and Bearer", func(f *fixture, fullMethod string) presented {
			return presented{[]string{"DPoP " + f.bound, "Bearer " + f.plain}, []string{f.proof(fullMethod, nil)}}
		}, bearerAlone(badAuthorization), byBearer(badAuthorization), dpopAlone(badAuthorization)},
		{"DPoP, expired token", as("DPoP", func(f *fixture) string { return f.boundToken(claims{"exp": today}) }, (*fixture).good),
			bearerAlone(dpopNotAccepted), byDPoP(expired), dpopAlone(expired)},
	}
}

func TestDPoPMatrix(t *testing.T) {
	required := func(_ *fixture, config *auth0grpc.Config) { config.DPoP.Mode = auth0grpc.BindingRequired }
	for _, mode := range []struct {
		name   string
		change func(*fixture, *auth0grpc.Config)
		want   func(matrixRow) challenged
	}{
		{"disabled", func(_ *fixture, config *auth0grpc.Config) { config.DPoP = auth0grpc.DPoPConfig{} }, func(r matrixRow) challenged { return r.disabled }},
		{"allowed", nil, func(r matrixRow) challenged { return r.allowed }},
		{"required", required, func(r matrixRow) challenged { return r.required }},
		{"required by the row", func(_ *fixture, config *auth0grpc.Config) {
			config.Methods[allMethods] = auth0grpc.Scopes("read:orders").RequireDPoP()
		}, func(r matrixRow) challenged {
			// The row shows itself to valid tokens alone.
			if strings.HasPrefix(r.name, "Bearer, unbound token") {
				return dpopAlone(wantsDPoP)
			}
			return r.allowed
		}},
		{"required, row mentions it", func(f *fixture, config *auth0grpc.Config) {
			required(f, config)
			config.Methods[allMethods] = auth0grpc.Scopes("read:orders").RequireDPoP()
		}, func(r matrixRow) challenged { return r.required }},
	} {
		t.Run(mode.name, func(t *testing.T) {
			f := newFixture(t, acceptDPoP, mode.change)
			for _, row := range matrixRows() {
				t.Run(row.name, func(t *testing.T) {
					f.inEveryShape(t, mode.want(row), func(m string) presented { return row.present(f, m) }, everyTransport...)
				})
			}
		})
	}
}

// bearing presents a token as a bearer token.
func bearing(token string) presented { return presented{authorization: bearer(token)} }

// The requirements of a row apply only to that row, and are checked before its scopes.
func TestBindingByRow(t *testing.T) {
	const (
		needsDPoP   = testgrpc.TestService_EmptyCall_FullMethodName
		optional    = testgrpc.TestService_UnaryCall_FullMethodName
		public      = testgrpc.TestService_CacheableUnaryCall_FullMethodName
		otherScope  = testgrpc.TestService_StreamingOutputCall_FullMethodName
		boundScope  = testgrpc.TestService_StreamingInputCall_FullMethodName
		unlistedOne = testgrpc.TestService_FullDuplexCall_FullMethodName
		needsMTLS   = testgrpc.TestService_HalfDuplexCall_FullMethodName
	)
	f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) {
		config.MTLS.Mode = auth0grpc.BindingAllowed
		config.Methods = map[string]auth0grpc.Rule{
			needsDPoP:  auth0grpc.Authenticated().RequireDPoP(),
			optional:   auth0grpc.Optional().RequireDPoP(),
			public:     auth0grpc.Public(),
			otherScope: auth0grpc.Scopes("write:orders"),
			boundScope: auth0grpc.Scopes("write:orders").RequireDPoP(),
			needsMTLS:  auth0grpc.Authenticated().RequireMTLS(),
		}
	})
	lacking := lacks("INSUFFICIENT_SCOPE", scopeText, "write:orders")
	nobody := challenged{outcome: outcome{subject: "nobody"}}
	bound := func(m string) presented { return f.good(m) }
	plain := func(string) presented { return bearing(f.plain) }
	none := func(string) presented { return presented{} }
	unproved := func(string) presented { return f.withProofs() }
	for _, test := range []struct {
		name, method string
		present      func(string) presented
		want         challenged
	}{
		{"bound", needsDPoP, bound, passed},
		{"plain", needsDPoP, plain, dpopAlone(wantsDPoP)},
		{"none", needsDPoP, none, byBearer(missing)},
		{"bound, optional", optional, bound, passed},
		{"plain, optional", optional, plain, dpopAlone(wantsDPoP)},
		{"none, optional", optional, none, nobody},
		{"unproved, public", public, unproved, nobody},
		{"bound, no scope", otherScope, bound, byDPoP(lacking)},
		{"plain, no scope", otherScope, plain, byBearer(lacking)},
		{"unproved, no scope", otherScope, unproved, byDPoP(missingProof)},
		{"bound, no scope, bound alone", boundScope, bound, dpopAlone(lacking)},
		{"bound, unlisted", unlistedOne, bound, challenged{outcome: unlisted}},
		{"plain, unlisted", unlistedOne, plain, challenged{outcome: unlisted}},
		{"unproved, unlisted", unlistedOne, unproved, byDPoP(missingProof)},
		{"bound to a key, certificate wanted", needsMTLS, bound, byDPoP(notBoundToCert)},
		{"plain, certificate wanted", needsMTLS, plain, byBearer(notBoundToCert)},
	} {
		t.Run(test.name, func(t *testing.T) {
			for transport := range f.conns {
				p := test.present(test.method)
				shape := grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
				test.want.check(t, f.present(t, transport, method{test.method, shape}, p), p)
			}
		})
	}
}

// The exact texts that clients read; RFC 9449, sections 7.1 and 7.2, prints such texts.
func TestBindingChallenges(t *testing.T) {
	const description = `error_description="exactly one DPoP proof is wanted"`
	for _, test := range []struct {
		name  string
		mode  auth0grpc.BindingMode
		value string
		want  []string
	}{
		{"none, disabled", auth0grpc.BindingDisabled, "", []string{"Bearer"}},
		{"none, allowed", auth0grpc.BindingAllowed, "", []string{"Bearer", `DPoP algs="ES256 EdDSA"`}},
		{"none, required", auth0grpc.BindingRequired, "", []string{`DPoP algs="ES256 EdDSA"`}},
		{"no proof, allowed", auth0grpc.BindingAllowed, "DPoP ", []string{`DPoP error="invalid_request", ` + description + `, algs="ES256 EdDSA"`, "Bearer"}},
		{"no proof, required", auth0grpc.BindingRequired, "DPoP ", []string{`DPoP error="invalid_request", ` + description + `, algs="ES256 EdDSA"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tenant, now := newTenant(t)
			config := configFor(tenant, now)
			config.DPoP = auth0grpc.DPoPConfig{Mode: test.mode, Authorities: []string{authority}, Algorithms: []string{"ES256", "EdDSA"}}
			var md metadata.MD
			if test.value != "" {
				token := tenant.BoundToken(claims{"scope": "read:orders"}, auth0grpctest.NewDPoPKey())
				md = metadata.Pairs("authorization", test.value+token)
			}
			for shape, got := range direct(t, t.Context(), mustNew(t, config), unaryCall, md) {
				if diff := cmp.Diff(test.want, got.header.Get("www-authenticate")); diff != "" {
					t.Errorf("%s: challenges (-want +got):\n%s", shape, diff)
				}
			}
		})
	}
}

// A binding that is understood is enforced, or the token is refused. A member that
// is not understood is ignored beside one that is (RFC 7800, section 3.1), and
// refused if it stands alone.
func TestConfirmations(t *testing.T) {
	f := newFixture(t, acceptDPoP)
	jkt, x5t := f.key.Thumbprint(), strings.Repeat("A", 43)
	withMTLS := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) { config.MTLS.Mode = auth0grpc.BindingAllowed })
	for _, test := range []struct {
		name string
		cnf  any
		want outcome // with DPoP alone
		both outcome // with mTLS as well, without a certificate
	}{
		{"key", claims{"jkt": jkt}, passes, passes},
		{"another key", claims{"jkt": x5t}, otherKey, otherKey},
		{"empty key", claims{"jkt": ""}, bound, bound},
		{"empty key and a certificate", claims{"jkt": "", "x5t#S256": x5t}, bound, bound},
		{"key and an empty certificate", claims{"jkt": jkt, "x5t#S256": ""}, bound, bound},
		{"certificate", claims{"x5t#S256": x5t}, bound, otherCertificate},
		{"empty certificate", claims{"x5t#S256": ""}, bound, bound},
		{"key and certificate", claims{"jkt": jkt, "x5t#S256": x5t}, bound, otherCertificate},
		{"key and more", claims{"jkt": jkt, "kid": "leak"}, passes, passes},
		{"as Keycloak writes it", claims{"kc-jkt-type": "leak", "jkt": jkt}, passes, passes},
		{"key and members of every type", claims{"jkt": jkt, "a": 1, "b": nil, "c": []any{""}, "d": claims{"jkt": "leak"}, "e": ""}, passes, passes},
		{"another key and more", claims{"jkt": x5t, "kid": "leak"}, otherKey, otherKey},
		{"certificate and more", claims{"x5t#S256": x5t, "kid": "leak"}, bound, otherCertificate},
		{"key, certificate and more", claims{"jkt": jkt, "x5t#S256": x5t, "kid": "leak"}, bound, otherCertificate},
		{"empty key and more", claims{"jkt": "", "kid": "leak"}, bound, bound},
		{"key in another case", claims{"JKT": jkt}, boundOtherwise, boundOtherwise},
		{"something else", claims{"jwk": claims{"kty": "RSA"}}, boundOtherwise, boundOtherwise},
		{"more than one thing else", claims{"kid": "leak", "jku": ""}, boundOtherwise, boundOtherwise},
		{"empty", claims{}, boundOtherwise, boundOtherwise},
		{"null", json.RawMessage("null"), badClaims, badClaims},
		{"text", "leak", badClaims, badClaims},
		{"list", []string{"leak"}, badClaims, badClaims},
		{"key of another type", claims{"jkt": 1}, badClaims, badClaims},
		{"null key", claims{"jkt": json.RawMessage("null")}, badClaims, badClaims},
		{"certificate of another type", claims{"x5t#S256": []string{x5t}}, badClaims, badClaims},
		{"two keys", json.RawMessage(`{"jkt":"` + jkt + `","jkt":"` + jkt + `"}`), malformed, malformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, f := range []struct {
				*fixture
				want outcome
			}{{f, test.want}, {withMTLS, test.both}} {
				f.key = auth0grpctest.NewDPoPKey()
				cnf := test.cnf
				if members, ok := cnf.(claims); ok && members["jkt"] == jkt {
					cnf = with(members, claims{"jkt": f.key.Thumbprint()})
				}
				// Twice: the second may come from the cache.
				for range 2 {
					f.bound = f.token(claims{"cnf": cnf})
					f.inEveryShape(t, byDPoP(f.want), f.good, "bufconn")
				}
			}
		})
	}
}

// A cached bound token still needs a proof with each call: the proof serves one call,
// the claims many.
func TestBoundTokenFromTheCache(t *testing.T) {
	f := newFixture(t, acceptDPoP)
	for range 2 {
		f.inEveryShape(t, passed, f.good, everyTransport...)
		f.inEveryShape(t, byBearer(boundAsBearer), func(string) presented { return bearing(f.bound) }, everyTransport...)
		f.inEveryShape(t, byBearer(boundAsBearer), func(m string) presented {
			return presented{bearer(f.bound), []string{f.proof(m, nil)}}
		}, everyTransport...)
		f.inEveryShape(t, byDPoP(missingProof), func(string) presented { return f.withProofs() }, everyTransport...)
		f.inEveryShape(t, byDPoP(badProof), func(string) presented { return f.withProofs(f.proof("/other", nil)) }, everyTransport...)
	}
}

// Report-only mode is for callers that may pass soon. The presenter of a stolen token
// is refused, unless ReportOnlyEverything is set, and then has no token.
func TestReportOnlyBindings(t *testing.T) {
	rows := map[string]func(f *fixture) (presented, auth0grpc.Reason){
		"bound as bearer": func(f *fixture) (presented, auth0grpc.Reason) { return bearing(f.bound), "BOUND_TOKEN" },
		"no proof":        func(f *fixture) (presented, auth0grpc.Reason) { return f.withProofs(), "MISSING_DPOP_PROOF" },
		"bad proof": func(f *fixture) (presented, auth0grpc.Reason) {
			return f.withProofs(f.proof("/other", nil)), "INVALID_DPOP_PROOF"
		},
		"replayed": func(f *fixture) (presented, auth0grpc.Reason) {
			p := f.good(unaryCall)
			f.present(t, "bufconn", shapes[0], p)
			return p, "DPOP_PROOF_REPLAYED"
		},
		"unbound": func(f *fixture) (presented, auth0grpc.Reason) {
			return presented{[]string{"DPoP " + f.plain}, nil}, "TOKEN_NOT_BOUND"
		},
		"wrong certificate": func(f *fixture) (presented, auth0grpc.Reason) {
			return bearing(f.token(claims{"cnf": claims{"x5t#S256": "leak"}})), "WRONG_CERTIFICATE"
		},
		"of something else": func(f *fixture) (presented, auth0grpc.Reason) {
			return bearing(f.token(claims{"cnf": claims{"leak": "leak"}})), "BOUND_TOKEN"
		},
	}
	for _, invalidToo := range []bool{false, true} {
		f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) {
			config.MTLS.Mode = auth0grpc.BindingAllowed
			config.ReportOnly = auth0grpc.ReportOnlyTable
			if invalidToo {
				config.ReportOnly = auth0grpc.ReportOnlyEverything
			}
			config.Logger = slog.New(slog.DiscardHandler)
		})
		for name, row := range rows {
			p, want := row(f)
			got := f.present(t, "bufconn", shapes[0], p)
			reason, _ := auth0grpc.ReasonFromError(got.err)
			if handled := got.trailer.Get("handled-for"); invalidToo {
				if diff := cmp.Diff([]string{"nobody"}, handled); diff != "" {
					t.Errorf("%s, with ReportOnlyEverything (-want +got):\n%s", name, diff)
				}
			} else if handled != nil || reason != want {
				t.Errorf("%s: %q, handled for %q, want %q", name, reason, handled, want)
			}
		}
	}
}

// The tap checks no proof; the interceptor would refuse all calls that the tap refuses.
func TestTapAgreesOnBindings(t *testing.T) {
	for name, mode := range map[string]auth0grpc.BindingMode{"disabled": 0, "allowed": auth0grpc.BindingAllowed, "required": auth0grpc.BindingRequired} {
		f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) { config.DPoP.Mode = mode })
		tapped := grpc.NewServer(append(f.guard.ServerOptions(), grpc.InTapHandle(f.guard.TapHandle()))...)
		testgrpc.RegisterTestServiceServer(tapped, service{})
		f.conns["tapped"] = auth0grpctest.Connect(t, tapped, "")
		for _, row := range matrixRows() {
			for _, m := range shapes {
				for range 2 {
					got := f.present(t, "tapped", m, row.present(f, m.name)).err
					want := f.present(t, "bufconn", m, row.present(f, m.name)).err
					if diff := cmp.Diff(status.Convert(want).Proto(), status.Convert(got).Proto(), protocmp.Transform()); diff != "" {
						t.Errorf("%s, %s, %s: (-interceptor +tap)\n%s", name, row.name, m.name, diff)
					}
				}
			}
		}
	}
}

// The tap leaves calls that need a proof to the interceptor.
func TestTapRefusesBeforeTheMessage(t *testing.T) {
	for _, test := range []struct {
		mode  auth0grpc.BindingMode
		rule  auth0grpc.Rule
		value string
		want  auth0grpc.Reason
	}{
		{auth0grpc.BindingRequired, auth0grpc.Authenticated(), "Bearer ", "DPOP_REQUIRED"},
		{auth0grpc.BindingAllowed, auth0grpc.Authenticated().RequireDPoP(), "Bearer ", ""},
		{auth0grpc.BindingAllowed, auth0grpc.Authenticated().RequireDPoP(), "DPoP ", ""},
		{auth0grpc.BindingAllowed, auth0grpc.Authenticated(), "Bearer ", ""},
		{auth0grpc.BindingRequired, auth0grpc.Authenticated(), "DPoP ", ""},
		{auth0grpc.BindingDisabled, auth0grpc.Authenticated(), "DPoP ", "DPOP_NOT_ACCEPTED"},
		{auth0grpc.BindingRequired, auth0grpc.Public(), "Bearer ", ""},
	} {
		tenant, now := newTenant(t)
		config := configFor(tenant, now)
		config.DPoP = auth0grpc.DPoPConfig{Mode: test.mode, Authorities: []string{authority}}
		config.Methods[allMethods] = test.rule
		info := &tap.Info{FullMethodName: unaryCall, Header: metadata.Pairs("authorization", test.value+tenant.Token(nil))}
		_, err := mustNew(t, config).TapHandle()(t.Context(), info)
		if reason, _ := auth0grpc.ReasonFromError(err); reason != test.want {
			t.Errorf("%+v: %q", test, reason)
		}
	}
}

// AuthFunc decides as the interceptors do.
func TestAuthFuncChecksBindings(t *testing.T) {
	f := newFixture(t, acceptDPoP)
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(f.observeUnary, auth.UnaryServerInterceptor(f.guard.AuthFunc())),
		grpc.ChainStreamInterceptor(f.observeStream, auth.StreamServerInterceptor(f.guard.AuthFunc())))
	testgrpc.RegisterTestServiceServer(server, service{})
	f.conns["AuthFunc"] = auth0grpctest.Connect(t, server, "")
	for _, row := range matrixRows() {
		t.Run(row.name, func(t *testing.T) {
			f.inEveryShape(t, row.allowed, func(m string) presented { return row.present(f, m) }, "AuthFunc")
		})
	}
}

func TestBindingFaults(t *testing.T) {
	key := bytes.Repeat([]byte{1}, 32)
	fault := func(field, value, reason string) *auth0grpc.ConfigError {
		return &auth0grpc.ConfigError{Field: field, Value: value, Reason: reason}
	}
	const (
		mode      = "want BindingDisabled, BindingAllowed or BindingRequired"
		authority = `want scheme and authority alone, "https://api.example.com"`
		algorithm = "want one of ES256, ES384, ES512, Ed25519, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512"
		disabled  = "asks for a binding whose Config.DPoP.Mode or Config.MTLS.Mode is BindingDisabled"
		good      = "https://a.example"
	)
	allowed := func(dpop auth0grpc.DPoPConfig) func(*auth0grpc.Config) {
		return func(c *auth0grpc.Config) {
			c.DPoP = dpop
			if c.DPoP.Mode == 0 {
				c.DPoP.Mode = auth0grpc.BindingAllowed
			}
		}
	}
	for _, test := range []struct {
		name   string
		change func(*auth0grpc.Config)
		want   []*auth0grpc.ConfigError
	}{
		{"sound", allowed(auth0grpc.DPoPConfig{
			Authorities: []string{good, "https://b.example:8443", "http://[::1]:50051", "https://c.example/", "HTTPS://D.example"},
			Algorithms:  []string{"ES256", "EdDSA", "RS256"}, MaxProofAge: time.Second, MaxProofSkew: time.Second, NonceKeys: [][]byte{key}, NonceLifetime: time.Second,
		}), nil},
		{"no authority", allowed(auth0grpc.DPoPConfig{}), []*auth0grpc.ConfigError{
			fault("DPoP.Authorities", "", `is required: the address that clients call, "https://api.example.com"`),
		}},
		{"authorities", allowed(auth0grpc.DPoPConfig{Authorities: []string{
			"", "a.example", "https://a.example/x", "https://a.example?x", "https://a.example#x", "ftp://a.example", "https://a.example//",
			"https://a.example/./", "https://user:leak@a.example", good, good, "https://A.example:443/", "https://a.example/?", "https://a.example/%2e",
		}}), []*auth0grpc.ConfigError{
			fault("DPoP.Authorities[0]", "", authority),
			fault("DPoP.Authorities[10]", good, "is listed twice"),
			fault("DPoP.Authorities[11]", "https://A.example:443/", "is listed twice"),
			fault("DPoP.Authorities[12]", "https://a.example/?", authority),
			fault("DPoP.Authorities[13]", "https://a.example/%2e", authority),
			fault("DPoP.Authorities[1]", "a.example", authority),
			fault("DPoP.Authorities[2]", "https://a.example/x", authority),
			fault("DPoP.Authorities[3]", "https://a.example?x", authority),
			fault("DPoP.Authorities[4]", "https://a.example#x", authority),
			fault("DPoP.Authorities[5]", "ftp://a.example", authority),
			fault("DPoP.Authorities[6]", "https://a.example//", authority),
			fault("DPoP.Authorities[7]", "https://a.example/./", authority),
			fault("DPoP.Authorities[8]", "https://user:xxxxx@a.example", authority),
		}},
		{"algorithms", allowed(auth0grpc.DPoPConfig{Authorities: []string{good}, Algorithms: []string{"HS256", "none", "", "ES256", "ES256"}}), []*auth0grpc.ConfigError{
			fault("DPoP.Algorithms[0]", "HS256", algorithm),
			fault("DPoP.Algorithms[1]", "none", algorithm),
			fault("DPoP.Algorithms[2]", "", algorithm),
			fault("DPoP.Algorithms[4]", "ES256", "is listed twice"),
		}},
		{"negative lifetime of nonces", allowed(auth0grpc.DPoPConfig{Authorities: []string{good}, NonceLifetime: -time.Hour}), []*auth0grpc.ConfigError{
			fault("DPoP.NonceLifetime", "-1h0m0s", "want at least 1s, or 0 for 5m0s"),
		}},
		{"times", allowed(auth0grpc.DPoPConfig{Authorities: []string{good}, MaxProofAge: -1, MaxProofSkew: -2, NonceKeys: [][]byte{key}, NonceLifetime: time.Second - 1}), []*auth0grpc.ConfigError{
			fault("DPoP.MaxProofAge", "-1ns", "want a positive time, or 0 for 5m0s"),
			fault("DPoP.MaxProofSkew", "-2ns", "want a positive time, or 0 for 30s"),
			fault("DPoP.NonceLifetime", "999.999999ms", "want at least 1s, or 0 for 5m0s"),
		}},
		{"nonce keys", allowed(auth0grpc.DPoPConfig{Authorities: []string{good}, NonceKeys: [][]byte{key[:31], key, nil}}), []*auth0grpc.ConfigError{
			fault("DPoP.NonceKeys[0]", "", "has 31 bytes; want at least 32, random ones"),
			fault("DPoP.NonceKeys[2]", "", "has 0 bytes; want at least 32, random ones"),
		}},
		{"modes", func(c *auth0grpc.Config) {
			c.DPoP, c.MTLS.Mode = auth0grpc.DPoPConfig{Mode: 3, Authorities: []string{good}}, -1
		}, []*auth0grpc.ConfigError{fault("DPoP.Mode", "3", mode), fault("MTLS.Mode", "-1", mode)}},
		{"rows, together with the rest", func(c *auth0grpc.Config) {
			c.Issuers = nil
			c.Methods = map[string]auth0grpc.Rule{
				"/a.B/C": auth0grpc.Authenticated().RequireDPoP(), "/a.B/D": auth0grpc.Authenticated().RequireMTLS(),
				"/a.B/E": auth0grpc.Authenticated().RequireMTLS().RequireDPoP(), "/a.B/F": auth0grpc.Authenticated(),
			}
		}, []*auth0grpc.ConfigError{
			fault("Issuers", "", `is required: the tenant's issuer, "https://TENANT.REGION.auth0.com/"`),
			fault(`Methods["/a.B/C"]`, "authenticated, DPoP required", disabled),
			fault(`Methods["/a.B/D"]`, "authenticated, mTLS required", disabled),
			fault(`Methods["/a.B/E"]`, "authenticated, DPoP required, mTLS required", disabled),
		}},
		{"row of the other binding", func(c *auth0grpc.Config) {
			c.MTLS.Mode = auth0grpc.BindingRequired
			c.Methods = map[string]auth0grpc.Rule{"/a.B/C": auth0grpc.Authenticated().RequireDPoP(), "/a.B/D": auth0grpc.Authenticated().RequireMTLS()}
		}, []*auth0grpc.ConfigError{fault(`Methods["/a.B/C"]`, "authenticated, DPoP required", disabled)}},
		{"part of a rule", func(c *auth0grpc.Config) {
			allowed(auth0grpc.DPoPConfig{Authorities: []string{good}})(c)
			c.Methods = map[string]auth0grpc.Rule{
				"/a.B/C": auth0grpc.AllOf(auth0grpc.Authenticated().RequireDPoP()), "/a.B/D": auth0grpc.Public().RequireDPoP(),
			}
		}, []*auth0grpc.ConfigError{
			fault(`Methods["/a.B/C"]`, "authenticated", "AllowAnonymous, ReportOnly, Streams, RequireDPoP, RequireMTLS, Same, Relation and HideExistence are for the whole rule of a row, not for a part of it"),
			fault(`Methods["/a.B/D"]`, "public, DPoP required", "Public looks at no token, so it cannot require one that is bound"),
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := auth0grpc.Config{
				Issuers: []string{"https://t.example/"}, Audiences: []string{"api"},
				Methods: map[string]auth0grpc.Rule{"/a.B/C": auth0grpc.Authenticated()},
			}
			test.change(&config)
			_, err := auth0grpc.New(config)
			if diff := cmp.Diff(test.want, configErrors(err)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			if err != nil && strings.Contains(err.Error(), "leak") {
				t.Errorf("%v", err)
			}
		})
	}
}

// configErrors are the faults that New or SetMethods joined.
func configErrors(err error) []*auth0grpc.ConfigError {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var all []*auth0grpc.ConfigError
	for _, err := range joined.Unwrap() {
		all = append(all, err.(*auth0grpc.ConfigError))
	}
	return all
}

// SetMethods asks the same of rows as New, and keeps the old table.
func TestSetMethodsChecksBindings(t *testing.T) {
	bound := map[string]auth0grpc.Rule{
		allMethods: auth0grpc.Authenticated().RequireDPoP(),
		unaryCall:  auth0grpc.Authenticated().RequireMTLS(),
	}
	tenant, now := newTenant(t)
	for _, test := range []struct {
		name       string
		dpop, mtls auth0grpc.BindingMode
		want       []string // the rows at fault
	}{
		{"neither", 0, 0, []string{allMethods, unaryCall}},
		{"DPoP", auth0grpc.BindingAllowed, 0, []string{unaryCall}},
		{"mTLS", 0, auth0grpc.BindingRequired, []string{allMethods}},
		{"both", auth0grpc.BindingRequired, auth0grpc.BindingAllowed, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := configFor(tenant, now)
			config.DPoP = auth0grpc.DPoPConfig{Mode: test.dpop, Authorities: []string{authority}}
			config.MTLS.Mode = test.mtls
			guard := mustNew(t, config)
			before := guard.String()
			err := guard.SetMethods(bound)
			var rows []string
			for _, fault := range configErrors(err) {
				rows = append(rows, strings.TrimSuffix(strings.TrimPrefix(fault.Field, `Methods["`), `"]`))
			}
			if diff := cmp.Diff(test.want, rows); diff != "" {
				t.Errorf("rows at fault (-want +got):\n%s", diff)
			}
			if kept := guard.String() == before; kept != (err != nil) {
				t.Errorf("the old table stays: %t, after %v", kept, err)
			}
		})
	}
}

// A caller without a valid token cannot tell a row that requires a binding from a
// method that is not listed: not by the status, not by the challenges, and not by
// the tap.
func TestRequiredBindingsDoNotShowRows(t *testing.T) {
	const unlistedOne, listed = testgrpc.TestService_FullDuplexCall_FullMethodName, testgrpc.TestService_UnaryCall_FullMethodName
	for name, rule := range map[string]auth0grpc.Rule{
		"DPoP": auth0grpc.Scopes("write:orders").RequireDPoP(), "mTLS": auth0grpc.Authenticated().RequireMTLS(),
		"both": auth0grpc.Authenticated().RequireDPoP().RequireMTLS(),
	} {
		f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) {
			config.MTLS.Mode = auth0grpc.BindingAllowed
			config.Methods = map[string]auth0grpc.Rule{listed: rule}
		})
		tapped := grpc.NewServer(append(f.guard.ServerOptions(), grpc.InTapHandle(f.guard.TapHandle()))...)
		testgrpc.RegisterTestServiceServer(tapped, service{})
		f.conns["tapped"] = auth0grpctest.Connect(t, tapped, "")
		forged := f.plain[:strings.LastIndexByte(f.plain, '.')+1] + strings.Repeat("A", 342)
		certificate := f.token(claims{"cnf": claims{"x5t#S256": "leak"}})
		for _, caller := range []struct {
			name    string
			present func(fullMethod string) presented
		}{
			{"no token", func(string) presented { return presented{} }},
			{"garbage", func(string) presented { return bearing("leak") }},
			{"another scheme", func(string) presented { return presented{authorization: []string{"Basic bGVhaw=="}} }},
			{"forged", func(string) presented { return bearing(forged) }},
			{"forged, DPoP", func(string) presented { return presented{authorization: []string{"DPoP " + forged}} }},
			{"expired", func(string) presented { return bearing(f.token(claims{"exp": today})) }},
			{"wrong audience", func(string) presented { return bearing(f.token(claims{"aud": "leak"})) }},
			{"stolen, as bearer", func(string) presented { return bearing(f.bound) }},
			{"stolen, without its proof", func(string) presented { return f.withProofs() }},
			{"stolen, proof of another key", func(m string) presented {
				return f.withProofs(auth0grpctest.NewDPoPKey().Sign(nil, f.proofClaims(m, nil)))
			}},
			{"stolen, without its certificate", func(string) presented { return bearing(certificate) }},
		} {
			for transport := range f.conns {
				var answers []result
				for _, m := range []string{listed, unlistedOne} {
					shape := method{m, grpc.StreamDesc{ServerStreams: true, ClientStreams: true}}
					answers = append(answers, f.present(t, transport, shape, caller.present(m)))
				}
				if answers[0].err == nil {
					t.Errorf("%s, %s, %s: passes", name, caller.name, transport)
				}
				if diff := cmp.Diff(status.Convert(answers[1].err).Proto(), status.Convert(answers[0].err).Proto(), protocmp.Transform()); diff != "" {
					t.Errorf("%s, %s, %s: statuses differ (-unlisted +listed):\n%s", name, caller.name, transport, diff)
				}
				for _, key := range []string{"www-authenticate", "dpop-nonce"} {
					if diff := cmp.Diff(answers[1].header.Get(key), answers[0].header.Get(key)); diff != "" {
						t.Errorf("%s, %s, %s: %s differs (-unlisted +listed):\n%s", name, caller.name, transport, key, diff)
					}
				}
			}
		}
	}
}

// Nonce keys are secrets: no way of printing a Config shows them.
func TestConfigPrintsNoSecrets(t *testing.T) {
	secret := []byte("0123456789-leak-leak-leak-leak-x")
	config := auth0grpc.Config{DPoP: auth0grpc.DPoPConfig{Authorities: []string{authority}, NonceKeys: [][]byte{secret, secret}}}
	var texts []string
	for _, value := range []any{config, &config, config.DPoP, &config.DPoP, config.DPoP.NonceKeys, []any{config}, map[string]any{"c": config}} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
			texts = append(texts, fmt.Sprintf(format, value))
		}
		encoded, _ := json.Marshal(value) // a Config has functions, so it is an error
		texts = append(texts, string(encoded))
		var log bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			slog.New(handler).Info("config", "config", value, slog.Group("group", "config", value))
		}
		texts = append(texts, log.String())
	}
	encoded, err := json.Marshal(config.DPoP)
	if err != nil || !strings.Contains(string(encoded), authority) {
		t.Errorf("DPoPConfig as JSON: %s, %v", encoded, err)
	}
	if text := fmt.Sprintf("%+v", config); !strings.Contains(text, "NonceKeys:(2 keys, not shown)") {
		t.Errorf("the nonce keys do not say that they are not shown: %s", text)
	}
	for _, text := range texts {
		for _, form := range []string{
			string(secret), "leak", fmt.Sprint(secret), strings.Trim(fmt.Sprint(secret), "[]"), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret),
			"0x6c, 0x65, 0x61, 0x6b", base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret), "108 101 97 107",
		} {
			if strings.Contains(text, form) {
				t.Errorf("prints the key as %q: %s", form, text)
			}
		}
	}
}

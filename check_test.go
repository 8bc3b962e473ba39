package auth0grpc_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

const listedPublic, listedOptional = "/grpc.testing.TestService/EmptyCall", "/grpc.testing.TestService/FullDuplexCall"

// checkRows adds rows of two other kinds to the table.
func checkRows(_ *fixture, config *auth0grpc.Config) {
	config.Methods[listedPublic], config.Methods[listedOptional] = auth0grpc.Public(), auth0grpc.Optional()
}

// refusalOf returns the error of Check as a *Refusal, and nil for a nil error.
func refusalOf(t *testing.T, err error) *auth0grpc.Refusal {
	t.Helper()
	var refusal *auth0grpc.Refusal
	if err != nil && !errors.As(err, &refusal) {
		t.Fatalf("%v is no *Refusal", err)
	}
	return refusal
}

// Check decides like the interceptors, whose error is the same Refusal.
func TestCheckDecidesLikeTheInterceptors(t *testing.T) {
	f := newFixture(t, checkRows)
	good := f.token(nil)
	for _, test := range []struct {
		name          string
		fullMethod    string
		authorization []string
		reason        auth0grpc.Reason
		httpStatus    int
		challenges    []string
		subject       string
	}{
		{"good", unaryCall, bearer(good), "", 0, nil, auth0grpctest.Subject},
		{"none", unaryCall, nil, auth0grpc.ReasonMissingToken, 401, []string{"Bearer"}, ""},
		{"two", unaryCall, append(bearer(good), bearer(good)...), auth0grpc.ReasonMalformedAuthorization, 401, nil, ""},
		{"garbage", unaryCall, bearer("a.b.c"), auth0grpc.ReasonMalformedToken, 401, nil, ""},
		{"expired", unaryCall, bearer(f.token(claims{"exp": f.clock.Now().Unix()})), auth0grpc.ReasonTokenExpired, 401, nil, ""},
		{"scope", unaryCall, bearer(f.token(claims{"scope": "other"})), auth0grpc.ReasonInsufficientScope, 403, []string{`Bearer error="insufficient_scope", scope="read:orders"`}, ""},
		{"unlisted", "/a.B/C", bearer(good), auth0grpc.ReasonMethodNotListed, 403, []string{}, ""},
		{"unlisted, no token", "/a.B/C", nil, auth0grpc.ReasonMissingToken, 401, []string{"Bearer"}, ""},
		{"no method", "", bearer(good), auth0grpc.ReasonMethodNotListed, 403, []string{}, ""},
		{"another spelling", unaryCall[1:], bearer(good), auth0grpc.ReasonMethodNotListed, 403, []string{}, ""},
		{"public", listedPublic, bearer("a.b.c"), "", 0, nil, ""},
		{"optional", listedOptional, nil, "", 0, nil, ""},
		{"optional, good", listedOptional, bearer(good), "", 0, nil, auth0grpctest.Subject},
		{"optional, bad", listedOptional, bearer("a.b.c"), auth0grpc.ReasonMalformedToken, 401, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			outer := auth0grpctest.ContextWithToken(t.Context(), claims{"sub": "auth0|outer"}) // of another Interceptor
			ctx, err := f.guard.Check(outer, auth0grpc.Request{FullMethod: test.fullMethod, Authorization: test.authorization})
			token, ok := auth0grpc.TokenFromContext(ctx)
			if ok != (test.subject != "") || ok && token.Subject() != test.subject {
				t.Errorf("token %v, want the subject %q", token, test.subject)
			}
			refusal := refusalOf(t, err)
			if test.reason == "" {
				if refusal != nil {
					t.Errorf("refused: %v", refusal)
				}
				return
			}
			if refusal == nil {
				t.Fatal("not refused")
			}
			if refusal.Reason() != test.reason || refusal.HTTPStatus() != test.httpStatus || refusal.RetryAfter() != 0 || refusal.DPoPNonce() != "" {
				t.Errorf("%s, %d, retry %s, nonce %q, want %s, %d", refusal.Reason(), refusal.HTTPStatus(), refusal.RetryAfter(), refusal.DPoPNonce(), test.reason, test.httpStatus)
			}
			if test.challenges != nil && !cmp.Equal(test.challenges, append([]string{}, refusal.Challenges()...)) {
				t.Errorf("challenges %q, want %q", refusal.Challenges(), test.challenges)
			}
			if test.fullMethod != unaryCall {
				return
			}
			got := f.call(t.Context(), "bufconn", shapes[0], test.authorization...)
			inner := refusalOf(t, got.outer)
			if diff := cmp.Diff(refusal.GRPCStatus().Proto(), inner.GRPCStatus().Proto(), protocmp.Transform()); diff != "" {
				t.Errorf("status of Check and of the interceptor (-Check +interceptor):\n%s", diff)
			}
			if diff := cmp.Diff(refusal.Challenges(), inner.Challenges()); diff != "" {
				t.Errorf("challenges of Check and of the interceptor (-Check +interceptor):\n%s", diff)
			}
		})
	}
}

// The headers of a Request count, and the metadata of a call that the context belongs
// to does not.
// Check in a gRPC handler neither reads the metadata of that call nor sends any.
func TestCheckIgnoresMetadata(t *testing.T) {
	f := newFixture(t)
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+f.token(nil)))
	outer := &transportStream{method: unaryCall}
	_, err := f.guard.Check(grpc.NewContextWithServerTransportStream(ctx, outer), auth0grpc.Request{FullMethod: unaryCall})
	if refusal := refusalOf(t, err); refusal == nil || refusal.Reason() != auth0grpc.ReasonMissingToken {
		t.Errorf("%v, want %s", err, auth0grpc.ReasonMissingToken)
	}
	if len(outer.header)+len(outer.trailer) > 0 {
		t.Errorf("the outer call gets the header %v and the trailer %v", outer.header, outer.trailer)
	}
}

func TestCheckOfTheZeroInterceptor(t *testing.T) {
	_, err := new(auth0grpc.Interceptor).Check(t.Context(), auth0grpc.Request{FullMethod: unaryCall})
	if refusal := refusalOf(t, err); refusal == nil || refusal.Reason() != auth0grpc.ReasonMethodNotListed {
		t.Errorf("%v, want %s", err, auth0grpc.ReasonMethodNotListed)
	}
}

func TestRefusalSaysWhenToRepeat(t *testing.T) {
	f := newFixture(t)
	f.tenant.SetDown(true)
	_, err := f.guard.Check(t.Context(), auth0grpc.Request{FullMethod: unaryCall, Authorization: bearer(f.token(nil))})
	refusal := refusalOf(t, err)
	if refusal == nil || refusal.HTTPStatus() != http.StatusServiceUnavailable || refusal.RetryAfter() < time.Second || refusal.Challenges() != nil {
		t.Errorf("%v: %d, retry after %s, challenges %q", err, refusal.HTTPStatus(), refusal.RetryAfter(), refusal.Challenges())
	}
}

// The caller's own end is no verdict on the token.
func TestCheckOfACallerThatLeft(t *testing.T) {
	for name, test := range map[string]struct {
		end        func(context.Context) (context.Context, context.CancelFunc)
		httpStatus int
	}{
		"canceled": {context.WithCancel, 499},
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithDeadline(ctx, time.Now().Add(-time.Second))
		}, http.StatusGatewayTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			ctx, cancel := test.end(t.Context())
			cancel()
			_, err := f.guard.Check(ctx, auth0grpc.Request{FullMethod: unaryCall, Authorization: bearer(f.token(nil))})
			if refusal := refusalOf(t, err); refusal == nil || refusal.Reason() != "" || refusal.HTTPStatus() != test.httpStatus {
				t.Errorf("%v: %q, %d, want %d", err, refusal.Reason(), refusal.HTTPStatus(), test.httpStatus)
			}
		})
	}
}

// A proof names the request that was made: its method and its path.
func TestCheckOfDPoP(t *testing.T) {
	f := newFixture(t, acceptDPoP)
	for _, test := range []struct {
		name                 string
		method, path         string // of the request
		proofMethod, proofAt string
		reason               auth0grpc.Reason
	}{
		{"gRPC", "", "", "POST", authority + unaryCall, ""},
		{"GET", "GET", "/v1/orders/1", "GET", authority + "/v1/orders/1", ""},
		{"with a query", "GET", "/v1/orders/1", "GET", authority + "/v1/orders/1?page=2", ""},
		{"with escapes", "GET", "/v1/orders/a%2fb%7E", "GET", authority + "/v1/orders/a%2Fb~", ""},
		{"other method", "GET", "/v1/orders/1", "POST", authority + "/v1/orders/1", auth0grpc.ReasonInvalidDPoPProof},
		{"method in lower case", "get", "/v1/orders/1", "GET", authority + "/v1/orders/1", auth0grpc.ReasonInvalidDPoPProof},
		{"other path", "GET", "/v1/orders/2", "GET", authority + "/v1/orders/1", auth0grpc.ReasonInvalidDPoPProof},
		{"of the gRPC call", "GET", "/v1/orders/1", "POST", authority + unaryCall, auth0grpc.ReasonInvalidDPoPProof},
		{"other host", "GET", "/v1/orders/1", "GET", "https://other.example.com/v1/orders/1", auth0grpc.ReasonInvalidDPoPProof},
		{"path that extends the host", "GET", ".evil.example/x", "GET", authority + ".evil.example/x", auth0grpc.ReasonInvalidDPoPProof},
		{"not a path", "GET", "/\x00", "GET", authority + "/", auth0grpc.ReasonInvalidDPoPProof},
	} {
		t.Run(test.name, func(t *testing.T) {
			proof := f.key.Proof(test.proofAt, f.bound, claims{"iat": f.clock.Now(), "htm": test.proofMethod})
			_, err := f.guard.Check(t.Context(), auth0grpc.Request{
				FullMethod: unaryCall, Authorization: []string{"DPoP " + f.bound}, DPoP: []string{proof},
				HTTPMethod: test.method, HTTPPath: test.path,
			})
			if refusal := refusalOf(t, err); test.reason == "" && refusal != nil || test.reason != "" && (refusal == nil || refusal.Reason() != test.reason) {
				t.Errorf("%v, want %q", err, test.reason)
			}
		})
	}
}

// A failure of the certificate's source refuses the token, unless the call has ended.
func TestCheckWithoutACertificateSource(t *testing.T) {
	f := newFixture(t, transports())
	for _, ends := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		config := configFor(f.tenant, f.clock)
		config.MTLS = auth0grpc.MTLSConfig{Mode: auth0grpc.BindingAllowed, Certificate: func(context.Context) (*x509.Certificate, error) {
			if ends {
				cancel()
			}
			return nil, errors.New("the source is down")
		}}
		certificate := auth0grpctest.NewCertificateAuthority().Client("a").Leaf
		token := f.tenant.CertificateBoundToken(claims{"scope": "read:orders"}, certificate)
		_, err := mustNew(t, config).Check(ctx, auth0grpc.Request{FullMethod: unaryCall, Authorization: bearer(token), Certificate: certificate})
		cancel()
		code, reason := codes.Unauthenticated, auth0grpc.ReasonWrongCertificate
		if ends {
			code, reason = codes.Canceled, ""
		}
		if refusal := refusalOf(t, err); refusal == nil || refusal.Reason() != reason || status.Code(err) != code {
			t.Errorf("the call has ended: %t: %v, want %s %q", ends, err, code, reason)
		}
	}
}

// A nonce travels in the refusal, and in the context of a call that may proceed.
func TestCheckIssuesNonces(t *testing.T) {
	f := noncesOf(t, oldNonceKey)
	check := func(more claims) (context.Context, error) {
		return f.guard.Check(t.Context(), auth0grpc.Request{
			FullMethod: unaryCall, Authorization: []string{"DPoP " + f.bound}, DPoP: []string{f.proof(unaryCall, more)},
		})
	}
	ctx, err := check(nil)
	refusal := refusalOf(t, err)
	if refusal == nil || refusal.Reason() != auth0grpc.ReasonUseDPoPNonce || refusal.DPoPNonce() == "" {
		t.Fatalf("%v, want a nonce", err)
	}
	if nonce, ok := auth0grpc.DPoPNonceFromContext(ctx); ok {
		t.Errorf("a refused call has the nonce %q in its context", nonce)
	}
	f.clock.Advance(time.Minute)
	ctx, err = check(claims{"nonce": refusal.DPoPNonce()})
	if next, ok := auth0grpc.DPoPNonceFromContext(ctx); err != nil || !ok || next == "" || next == refusal.DPoPNonce() {
		t.Errorf("%v with the nonce %q, %t", err, next, ok)
	}
	ctx, err = f.guard.Check(t.Context(), auth0grpc.Request{FullMethod: unaryCall, Authorization: bearer(f.plain)})
	if nonce, ok := auth0grpc.DPoPNonceFromContext(ctx); err != nil || ok {
		t.Errorf("a bearer call: %v, nonce %q", err, nonce)
	}
}

// The function of the Config decides alone, if there is one: behind a proxy the
// certificate of the connection is the proxy's.
func TestCheckOfCertificates(t *testing.T) {
	right, other := auth0grpctest.NewCertificateAuthority().Client("right").Leaf, auth0grpctest.NewCertificateAuthority().Client("other").Leaf
	for _, test := range []struct {
		name       string
		function   func(context.Context) (*x509.Certificate, error)
		connection *x509.Certificate
		passes     bool
	}{
		{"right", nil, right, true},
		{"other", nil, other, false},
		{"none", nil, nil, false},
		{"function", func(context.Context) (*x509.Certificate, error) { return right, nil }, other, true},
		{"function without one", func(context.Context) (*x509.Certificate, error) { return nil, nil }, right, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			tenant, now := newTenant(t)
			config := configFor(tenant, now)
			config.MTLS = auth0grpc.MTLSConfig{Mode: auth0grpc.BindingAllowed, Certificate: test.function}
			_, err := mustNew(t, config).Check(t.Context(), auth0grpc.Request{
				FullMethod: unaryCall, Certificate: test.connection,
				Authorization: bearer(tenant.CertificateBoundToken(claims{"scope": "read:orders"}, right)),
			})
			refusal := refusalOf(t, err)
			if test.passes != (refusal == nil) || refusal != nil && refusal.Reason() != auth0grpc.ReasonWrongCertificate {
				t.Errorf("%v, want it to pass: %t", err, test.passes)
			}
		})
	}
}

// BenchmarkCheck measures the decision on a call with a cached token.
func BenchmarkCheck(b *testing.B) {
	tenant, now := newTenant(b)
	guard := mustNew(b, configFor(tenant, now))
	request := auth0grpc.Request{FullMethod: unaryCall, Authorization: bearer(tenant.Token(claims{"scope": "read:orders"}))}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := guard.Check(b.Context(), request); err != nil {
			b.Fatal(err)
		}
	}
}

// Some adapters, such as fasthttp's for net/http, make the strings of a request in memory
// that they use again. So neither the decision on a later request nor the token of an
// earlier one may depend on where a string is.
func TestRequestsInTheSameMemory(t *testing.T) {
	f := newFixture(t)
	first, second := f.token(claims{"sub": "auth0|first0"}), f.token(claims{"sub": "auth0|second"})
	forged := second[:len(second)-20] + strings.Repeat("A", 20)
	memory := []byte(bearer(first)[0])
	for _, check := range []func(r auth0grpc.Request) (context.Context, error){
		func(r auth0grpc.Request) (context.Context, error) {
			r.FullMethod = unaryCall
			return f.guard.Check(t.Context(), r)
		},
		func(r auth0grpc.Request) (context.Context, error) {
			r.FullMethod = listedOptional // a stream
			stream, err := f.guard.CheckStream(t.Context(), r)
			if err != nil {
				return nil, err
			}
			defer stream.Close()
			return stream.Context(), nil
		},
	} {
		subjects := map[*auth0grpc.Token]string{}
		for range 2 { // the second time from the cache
			for _, step := range []struct {
				token, subject string
				reason         auth0grpc.Reason
			}{{first, "auth0|first0", ""}, {forged, "", auth0grpc.ReasonBadSignature}, {second, "auth0|second", ""}, {forged, "", auth0grpc.ReasonBadSignature}} {
				if copy(memory, bearer(step.token)[0]) != len(memory) {
					t.Fatal("the tokens differ in length")
				}
				ctx, err := check(auth0grpc.Request{Authorization: []string{unsafe.String(unsafe.SliceData(memory), len(memory))}})
				if refused := refusalOf(t, err); step.reason != "" && (refused == nil || refused.Reason() != step.reason) || step.reason == "" && refused != nil {
					t.Fatalf("%v, want the reason %q", err, step.reason)
				}
				if err == nil {
					token, _ := auth0grpc.TokenFromContext(ctx)
					subjects[token] = step.subject
				}
			}
		}
		clear(memory)
		if len(subjects) != 2 {
			t.Errorf("%d tokens, want one for each", len(subjects))
		}
		for token, subject := range subjects {
			if token.Subject() != subject {
				t.Errorf("subject %s, want %s", token.Subject(), subject)
			}
		}
	}
}

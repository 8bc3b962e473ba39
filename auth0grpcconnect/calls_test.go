package auth0grpcconnect_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcconnect"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// call makes a unary call with headers and returns what came back.
func (f *fixture) call(t *testing.T, protocol string, headers map[string]string) (*connect.CallInfo, error) {
	t.Helper()
	ctx, info := connect.NewClientContext(t.Context())
	for name, value := range headers {
		info.RequestHeader().Set(name, value)
	}
	return info, f.clients[protocol].CallUnary(ctx, connect.Spec{Procedure: unary}, new(testgrpc.SimpleRequest), new(testgrpc.SimpleResponse))
}

// While the keys are unavailable, clients learn when to try again.
func TestRetryAfter(t *testing.T) {
	f := newFixture(t)
	f.tenant.SetDown(true)
	for protocol := range f.clients {
		info, err := f.call(t, protocol, map[string]string{"Authorization": "Bearer " + f.tenant.Token(nil)})
		if reason, _ := reasonOf(t, err); reason != auth0grpc.ReasonKeysUnavailable {
			t.Errorf("%s: %v", protocol, err)
		}
		seconds, err := strconv.Atoi(info.ResponseHeader().Get("Retry-After"))
		if err != nil || seconds < 1 {
			t.Errorf("%s: Retry-After %v", protocol, info.ResponseHeader().Values("Retry-After"))
		}
		pushback, err := strconv.Atoi(info.ResponseTrailer().Get("Grpc-Retry-Pushback-Ms"))
		if err != nil || (pushback+999)/1000 != seconds {
			t.Errorf("%s: %d s and %v ms", protocol, seconds, info.ResponseTrailer().Values("Grpc-Retry-Pushback-Ms"))
		}
	}
}

// A proof names the URL of the call, and each answer has a nonce.
func TestDPoP(t *testing.T) {
	f := newFixture(t, func(config *auth0grpc.Config) {
		config.DPoP = auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://api.example.com"}, NonceKeys: [][]byte{make([]byte, 32)}}
	})
	key := auth0grpctest.NewDPoPKey()
	token := f.tenant.BoundToken(claims{"scope": "read:orders"}, key)
	for protocol := range f.clients {
		nonce := ""
		for _, test := range []struct {
			url  string
			want auth0grpc.Reason
		}{
			{"https://api.example.com" + unary, auth0grpc.ReasonUseDPoPNonce},
			{"https://api.example.com" + unary, ""},
			{"https://api.example.com" + duplex, auth0grpc.ReasonInvalidDPoPProof},
		} {
			proof := claims{}
			if nonce != "" {
				proof["nonce"] = nonce
			}
			info, err := f.call(t, protocol, map[string]string{"Authorization": "DPoP " + token, "DPoP": key.Proof(test.url, token, proof)})
			if reason, _ := reasonOf(t, err); reason != test.want || (err == nil) != (test.want == "") {
				t.Errorf("%s: %v, want %q", protocol, err, test.want)
			}
			if sent := info.ResponseHeader().Get("DPoP-Nonce"); sent != "" {
				nonce = sent
			} else if test.want != auth0grpc.ReasonInvalidDPoPProof {
				t.Errorf("%s: no nonce with %v", protocol, err)
			}
		}
	}
}

// A proof names the method of HTTP, which is GET for some calls of Connect.
func TestDPoPNamesTheMethod(t *testing.T) {
	f := newFixture(t, func(config *auth0grpc.Config) {
		config.DPoP = auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://api.example.com"}}
	})
	byGet := connect.NewClient(connecthttp.NewTransport(f.http, f.url, connecthttp.WithHTTPGet()))
	key := auth0grpctest.NewDPoPKey()
	token := f.tenant.BoundToken(claims{"scope": "read:orders"}, key)
	for htm, client := range map[string]*connect.Client{http.MethodPost: f.clients["Connect"], http.MethodGet: byGet} {
		for _, named := range []string{http.MethodPost, http.MethodGet} {
			ctx, info := connect.NewClientContext(t.Context())
			info.RequestHeader().Set("Authorization", "DPoP "+token)
			info.RequestHeader().Set("DPoP", key.Proof("https://api.example.com"+unary, token, claims{"htm": named}))
			spec := connect.Spec{Procedure: unary, IdempotencyLevel: connect.IdempotencyNoSideEffects}
			err := client.CallUnary(ctx, spec, new(testgrpc.SimpleRequest), new(testgrpc.SimpleResponse))
			if (err == nil) != (named == htm) {
				t.Errorf("%s with a proof for %s: %v", htm, named, err)
			}
		}
	}
}

// The certificate is the one of the connection.
func TestCertificates(t *testing.T) {
	right, other := auth0grpctest.NewCertificateAuthority().Client("right"), auth0grpctest.NewCertificateAuthority().Client("other")
	for name, test := range map[string]struct {
		certificates []tls.Certificate
		want         bool
	}{"right": {[]tls.Certificate{right}, true}, "other": {[]tls.Certificate{other}, false}, "none": {nil, false}} {
		f := newFixture(t, func(config *auth0grpc.Config) { config.MTLS.Mode = auth0grpc.BindingAllowed })
		f.http.Transport.(*http.Transport).TLSClientConfig.Certificates = test.certificates
		token := f.tenant.CertificateBoundToken(claims{"scope": "read:orders"}, right.Leaf)
		for protocol := range f.clients {
			if _, err := f.call(t, protocol, map[string]string{"Authorization": "Bearer " + token}); (err == nil) != test.want {
				t.Errorf("%s, %s: %v", name, protocol, err)
			}
		}
	}
}

// A unary call has no limit in time: Revoke ends its context, and its answer, or the
// error of its handler, reaches the client.
func TestUnaryCalls(t *testing.T) {
	f := newFixture(t)
	f.unary = func(ctx context.Context) error {
		if err := f.guard.Revoke(context.Background(), auth0grpc.Revocation{Issuer: f.tenant.Issuer(), Subject: "auth0|left"}); err != nil {
			return err
		}
		<-ctx.Done()
		return connect.NewError(connect.CodeAborted, "of the handler")
	}
	info, err := f.call(t, "Connect", map[string]string{"Authorization": "Bearer " + f.tenant.Token(claims{"scope": "read:orders", "sub": "auth0|left"})})
	if connect.CodeOf(err) != connect.CodeAborted {
		t.Errorf("%v, want the error of the handler", err)
	}
	if values := info.ResponseHeader().Values(auth0grpc.StreamTTLHeader); len(values) > 0 {
		t.Errorf("TTL %q of a unary call", values)
	}
	f.unary = nil
	if _, err := f.call(t, "Connect", map[string]string{"Authorization": "Bearer " + f.tenant.Token(claims{"scope": "read:orders"})}); err != nil {
		t.Error(err)
	}
	for stats := f.guard.Stats(); stats.OpenStreams+stats.LingeringStreams > 0; stats = f.guard.Stats() {
		runtime.Gosched() // the client can have its answer before the interceptor returns
	}
}

// A stream that ignores expiry has no time to live.
func TestNoTTL(t *testing.T) {
	f := newFixture(t, func(config *auth0grpc.Config) { config.StreamPolicy = auth0grpc.IgnoreExpiry() })
	f.duplex = func(_ context.Context, stream connect.ServerStream) error {
		return stream.Send(new(testgrpc.SimpleResponse))
	}
	stream, info := f.open(t, "Connect", duplex, "Bearer "+f.tenant.Token(claims{"scope": "read:orders"}))
	_ = stream.CloseSend()
	if err := stream.Receive(new(testgrpc.SimpleResponse)); err != nil {
		t.Error(err)
	}
	if values := info.ResponseHeader().Values(auth0grpc.StreamTTLHeader); len(values) > 0 {
		t.Errorf("TTL %q", values)
	}
}

// A transport that is not HTTP has no headers that the interceptor knows: its calls come
// without a token.
func TestOtherTransports(t *testing.T) {
	f := newFixture(t, func(config *auth0grpc.Config) { config.Methods[unlisted] = auth0grpc.Public() })
	ran := 0
	serve := auth0grpcconnect.Interceptor(f.guard)(func(context.Context, connect.Spec, connect.ServerStream) error { ran++; return nil })
	if reason, _ := reasonOf(t, serve(t.Context(), connect.Spec{Procedure: unary}, nil)); reason != auth0grpc.ReasonMissingToken || ran > 0 {
		t.Errorf("%q; the handler ran %d times", reason, ran)
	}
	if err := serve(t.Context(), connect.Spec{Procedure: unlisted}, nil); err != nil || ran != 1 {
		t.Errorf("public: %v; the handler ran %d times", err, ran)
	}
}

// Behind http.StripPrefix connecthttp does not know the URL of the client, so the proof is
// refused.
func TestDPoPBehindAPrefix(t *testing.T) {
	f := newFixture(t, func(config *auth0grpc.Config) {
		config.DPoP = auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://api.example.com"}}
	})
	server := connect.NewServer(auth0grpcconnect.Interceptor(f.guard))
	server.Register(connect.Method{Spec: connect.Spec{Procedure: unary}, Handler: func(context.Context, connect.Spec, connect.ServerStream) error {
		t.Error("the handler ran")
		return nil
	}})
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server)
	key := auth0grpctest.NewDPoPKey()
	token := f.tenant.BoundToken(claims{"scope": "read:orders"}, key)
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/api"+unary, http.NoBody)
	r.Header = http.Header{"Content-Type": {"application/proto"}, "Authorization": {"DPoP " + token}, "Dpop": {key.Proof("https://api.example.com/api"+unary, token, nil)}}
	http.StripPrefix("/api", mux).ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), string(auth0grpc.ReasonInvalidDPoPProof)) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

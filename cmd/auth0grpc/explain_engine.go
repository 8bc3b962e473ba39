package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// An engine makes the decision of a real Interceptor. Without the keys of the issuer, it
// signs the claims anew with a key of its own, so that the table decides as it would on
// a good signature.
type engine struct {
	*explainer
	token   *parsedToken
	raw     string
	methods map[string]auth0grpc.Rule
	client  *x509.Certificate // made by certificate
}

// certificate returns a certificate that stands for the client's.
func (e *engine) certificate() *x509.Certificate {
	if e.client == nil {
		e.client = auth0grpctest.NewCertificateAuthority().Client("explain").Leaf
	}
	return e.client
}

// tableRequires reports whether a row of a table requires a binding.
func tableRequires(methods map[string]auth0grpc.Rule, member string) bool {
	for _, rule := range methods {
		if rowMembers(rule)[member] != nil {
			return true
		}
	}
	return false
}

// explainMethod is the method of a call if the flags name none.
const explainMethod = "/explain.Explain/Call"

// A ruling is the decision of an Interceptor.
type ruling struct {
	err    error
	reason auth0grpc.Reason
}

// decide adds the check of the signature and the decision.
func (e *engine) decide(ctx context.Context, x *explanation) error {
	first, err := e.call(ctx, noNetwork{}, e.raw, "", e.algorithmList())
	if err != nil { // the settings are good: it is the token's issuer or audience
		x.add(checkFail, "settings", "no server can accept this issuer or audience: "+firstLine(err), "use an access token of Auth0")
		x.decision = "A server refuses the call: Unauthenticated."
		return nil
	}
	good := "A server with these settings"
	result := first
	if first.reason == auth0grpc.ReasonKeysUnavailable { // all checks without a key pass
		result, err = e.callSigned(ctx)
		if err != nil {
			return err
		}
		verified, known := e.checkSignature(ctx, x)
		switch {
		case verified != nil:
			result = *verified
		case !known:
			good = "If the signature is good, a server with these settings"
		}
	} else if result.err != nil {
		x.add(checkOpen, "signature", "not reached", "")
	}
	x.allowed = result.err == nil
	if x.allowed && result.reason != "" {
		x.decision = fmt.Sprintf("%s lets the call pass, because the row is report-only, and reports %s.", good, result.reason)
		return nil
	}
	if x.allowed {
		x.decision = good + " accepts the call."
		return nil
	}
	if len(x.failures()) == 0 {
		x.checks = slices.DeleteFunc(x.checks, func(c check) bool { return c.name == "rule" }) // the table decides otherwise
		x.add(checkFail, "decision", status.Convert(result.err).Message(), "")
	}
	x.decision = fmt.Sprintf("%s refuses the call: %s, %s.", good, status.Code(result.err), result.reason)
	return nil
}

// firstLine returns the first of several faults.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return shorten(strings.TrimPrefix(line, "auth0grpc: "))
}

func (x *explanation) failures() []check {
	var failures []check
	for _, c := range x.checks {
		if c.state == checkFail {
			failures = append(failures, c)
		}
	}
	return failures
}

// checkSignature verifies the token against the keys of the issuer. It returns a ruling
// if the signature is the reason for it, and whether the signature was checked.
func (e *engine) checkSignature(ctx context.Context, x *explanation) (refused *ruling, known bool) {
	const name = "signature"
	if len(e.issuers) == 0 || e.offline {
		x.add(checkOpen, name, "not verified", "name the issuer by -issuer to load its keys and verify it")
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	live := e.live
	if live == nil {
		transport, err := newTransport(e.ca)
		if err != nil {
			x.add(checkFail, name, err.Error(), "")
			return nil, false
		}
		defer transport.CloseIdleConnections()
		live = transport
	}
	result, err := e.call(ctx, live, e.raw, "", e.algorithmList())
	if err != nil {
		x.add(checkFail, name, firstLine(err), "")
		return nil, false
	}
	switch result.reason {
	case auth0grpc.ReasonUnknownKey:
		x.add(checkFail, name, "the issuer publishes no key with the id of the token", "get a new token: the key was withdrawn, or the token is forged")
	case auth0grpc.ReasonBadSignature:
		x.add(checkFail, name, "the signature is not of the issuer's key", "the token was changed or forged; get a new one")
	case auth0grpc.ReasonKeysUnavailable, auth0grpc.ReasonOverloaded:
		x.add(checkFail, name, "the keys of the issuer are unavailable", "check the outside: auth0grpc doctor -issuer …")
	default:
		x.add(checkOK, name, "verified with a key of the issuer", "")
		return nil, true
	}
	return &result, true
}

// callSigned makes the call with the same claims and a signature of an own key. The
// caller has the keys that the token is bound to.
func (e *engine) callSigned(ctx context.Context) (ruling, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return ruling{}, err
	}
	payload, proofKey := e.rebound()
	token, err := signToken(key, payload)
	if err != nil {
		return ruling{}, err
	}
	proof := ""
	if proofKey != nil {
		proof = proofKey.Proof(explainAuthority+e.fullMethod(), token, map[string]any{"iat": e.now()})
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return ruling{}, err
	}
	return e.call(ctx, &ownIssuer{issuer: e.token.text("iss"), key: public}, token, proof, []string{"ES256"})
}

const explainAuthority = "https://explain.invalid"

// rebound returns the payload with the bindings replaced by those to own keys. The key
// is nil if the token is not bound by DPoP.
func (e *engine) rebound() (payload string, key *auth0grpctest.DPoPKey) {
	cnf := map[string]string{}
	if e.token.binding("jkt") != "" {
		key = auth0grpctest.NewDPoPKey()
		cnf["jkt"] = key.Thumbprint()
	}
	if e.token.binding("x5t#S256") != "" {
		cnf["x5t#S256"] = auth0grpctest.CertificateThumbprint(e.certificate())
	}
	if len(cnf) == 0 {
		return e.token.payload, nil
	}
	claims := map[string]json.RawMessage{}
	for name, value := range e.token.claims {
		claims[name] = value
	}
	claims["cnf"], _ = json.Marshal(cnf)
	text, err := json.Marshal(claims)
	if err != nil {
		return e.token.payload, nil
	}
	return string(text), key
}

func (e *explainer) fullMethod() string {
	if e.method == "" {
		return explainMethod
	}
	return e.method
}

// call makes the call on an Interceptor.
func (e *engine) call(ctx context.Context, transport http.RoundTripper, token, proof string, algorithms []string) (ruling, error) {
	issuers, audiences, methods := e.issuers, e.audiences, e.methods
	if len(issuers) == 0 {
		issuers = []string{e.token.text("iss")}
	}
	if len(audiences) == 0 {
		audiences = e.token.list("aud")
	}
	if methods == nil {
		methods = map[string]auth0grpc.Rule{e.fullMethod(): auth0grpc.Authenticated()}
	}
	var result ruling
	config := e.config(issuers, audiences, methods)
	config.Algorithms = algorithms
	config.MTLS.Certificate = func(context.Context) (*x509.Certificate, error) { return e.certificate(), nil }
	config.HTTPClient = &http.Client{Transport: transport}
	config.OnDecision = func(_ context.Context, d auth0grpc.Decision) { result.reason = d.Reason }
	guard, err := auth0grpc.New(config)
	if err != nil {
		return result, err
	}
	md := metadata.Pairs("authorization", "Bearer "+token)
	if proof != "" {
		md = metadata.Pairs("authorization", "DPoP "+token, "dpop", proof)
	}
	_, result.err = guard.UnaryServerInterceptor()(metadata.NewIncomingContext(ctx, md), nil,
		&grpc.UnaryServerInfo{FullMethod: e.fullMethod()}, func(context.Context, any) (any, error) { return nil, nil })
	if result.reason == auth0grpc.ReasonRuleMisconfigured { // the token passed; there is no message to check
		return ruling{}, nil
	}
	return result, nil
}

// config returns the settings of the server.
func (e *explainer) config(issuers, audiences []string, methods map[string]auth0grpc.Rule) auth0grpc.Config {
	config := auth0grpc.Config{
		Issuers: issuers, Audiences: audiences, Methods: methods, Algorithms: e.algorithmList(), ClockSkew: e.skew,
		Now: e.now, Logger: slog.New(slog.DiscardHandler), RelationChecker: noRelations,
	}
	if e.dpop {
		config.DPoP = auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{explainAuthority}}
	}
	if e.mtls {
		config.MTLS.Mode = auth0grpc.BindingAllowed
	}
	return config
}

// validate returns the faults of the settings.
func (e *explainer) validate(methods map[string]auth0grpc.Rule) error {
	issuers, audiences := e.issuers, e.audiences
	if len(issuers) == 0 {
		issuers = []string{"https://explain.invalid/"}
	}
	if len(audiences) == 0 {
		audiences = []string{"https://explain.invalid"}
	}
	if methods == nil {
		methods = map[string]auth0grpc.Rule{e.fullMethod(): auth0grpc.Authenticated()}
	}
	_, err := auth0grpc.New(e.config(issuers, audiences, methods))
	return err
}

// signToken signs a payload with ES256 (RFC 7518, section 3.4).
func signToken(key *ecdsa.PrivateKey, payload string) (string, error) {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"ES256","typ":"JWT","kid":"explain"}`)) + "." + encode([]byte(payload))
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", err
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return signed + "." + encode(signature), nil
}

// noNetwork is a transport without a network.
type noNetwork struct{}

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("the network is not used")
}

// ownIssuer is a transport that answers as an issuer with one key.
type ownIssuer struct {
	issuer string
	key    []byte // P-256, uncompressed
}

func (o *ownIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	keys := strings.TrimSuffix(o.issuer, "/") + "/.well-known/jwks.json"
	encode := base64.RawURLEncoding.EncodeToString
	document := any(map[string]any{"issuer": o.issuer, "jwks_uri": keys})
	if r.URL.String() == keys {
		document = map[string]any{"keys": []any{map[string]string{
			"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "explain",
			"x": encode(o.key[1:33]), "y": encode(o.key[33:]),
		}}}
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(string(text))), ContentLength: int64(len(text)),
	}, nil
}

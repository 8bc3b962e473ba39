package auth0grpcclient_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

var errKeyService = errors.New("the key service is down")

// A failingKey is a key in a key service that is down.
type failingKey struct{ crypto.Signer }

func (failingKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errKeyService
}

// TestKeyThatDoesNotSign shows that a request without its assertion or its proof does
// not leave the client.
func TestKeyThatDoesNotSign(t *testing.T) {
	t.Parallel()
	key := failingKey{mustEC(t, elliptic.P256())}
	for name, edit := range map[string]func(*auth0grpcclient.Config){
		"assertion": func(c *auth0grpcclient.Config) { c.ClientSecret, c.PrivateKey = "", key },
		"proof":     func(c *auth0grpcclient.Config) { c.DPoP, c.DPoPKey = true, key },
	} {
		requests := 0
		config := offline(func(*http.Request) (*http.Response, error) {
			requests++
			return answer(400, `{"error":"invalid_client"}`), nil
		})
		edit(&config)
		_, err := authorization(t.Context(), newCredentials(t, config))
		if requests != 0 || !errors.Is(err, errKeyService) {
			t.Errorf("%s: %d requests, %v, want none and the key's error", name, requests, err)
		}
	}
}

// A key that fails later signs the first proof, which is for the token endpoint.
type fadingKey struct {
	crypto.Signer
	left int
}

func (k *fadingKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.left--; k.left < 0 {
		return nil, errKeyService
	}
	return k.Signer.Sign(random, digest, opts)
}

// TestProofThatIsNotSigned shows that a bound token does not leave the client without a
// proof. The error does not contain the text of the key.
func TestProofThatIsNotSigned(t *testing.T) {
	t.Parallel()
	for shape, call := range shapes {
		g := &gate{}
		config := offline(func(*http.Request) (*http.Response, error) {
			return answer(200, `{"access_token":"t","token_type":"DPoP","expires_in":86400}`), nil
		})
		config.DPoP, config.DPoPKey = true, &fadingKey{Signer: mustEC(t, elliptic.P256()), left: 1}
		_, err := call(t.Context(), connect(t, g, newCredentials(t, config)))
		wantCode(t, err, codes.Internal)
		if err == nil || strings.Contains(err.Error(), errKeyService.Error()) {
			t.Errorf("%s: %v, want an error without the key's text", shape, err)
		}
		if calls := g.values("authorization"); len(calls) != 0 {
			t.Errorf("%s: calls went out with %q", shape, calls)
		}
	}
}

// TestProofOfTheConfiguredKey shows that proofs are signed by Config.DPoPKey.
func TestProofOfTheConfiguredKey(t *testing.T) {
	t.Parallel()
	key := mustEC(t, elliptic.P256())
	thumbprint, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	want := base64.RawURLEncoding.EncodeToString(thumbprint)
	tenant, _ := newTenant(t)
	config := configFor(tenant)
	config.DPoP, config.DPoPKey = true, key
	md, err := newCredentials(t, config).GetRequestMetadata(secure(t.Context()), uri)
	if err != nil {
		t.Fatal(err)
	}
	if _, got, err := parseProof(md["dpop"]); got != want || err != nil {
		t.Errorf("the proof is by the key %s, %v, want %s", got, err, want)
	}
	confirmation, _ := claimsOf(t, md["authorization"])["cnf"].(map[string]any)
	if confirmation["jkt"] != want {
		t.Errorf("the token is bound to %v, want %s", confirmation["jkt"], want)
	}
}

// TestProofsByEd25519 shows that a guarded server accepts the algorithm name that the
// client sends with an Ed25519 key.
func TestProofsByEd25519(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		HTTPClient: tenant.HTTPClient(),
		Methods:    map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Authenticated().RequireDPoP()},
		DPoP: auth0grpc.DPoPConfig{
			Mode:        auth0grpc.BindingAllowed,
			Authorities: []string{"https://" + listener.Addr().String()},
			Algorithms:  []string{"EdDSA"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	trust := serveOn(t, listener, guard.ServerOptions()...)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	config := configFor(tenant)
	config.DPoP, config.DPoPKey = true, key
	client := dial(t, listener.Addr().String(), append(newCredentials(t, config).DialOptions(), grpc.WithTransportCredentials(credentials.NewTLS(trust)))...)
	for shape, call := range shapes {
		if got, err := call(t.Context(), client); got != "a" || err != nil {
			t.Errorf("%s: %q, %v", shape, got, err)
		}
	}
}

// TestTransportsOfProofs covers an HTTPClient without a transport, and one whose
// transport fails.
func TestTransportsOfProofs(t *testing.T) {
	t.Parallel()
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("DPoP") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"t","token_type":"DPoP","expires_in":60}`)
	}))
	t.Cleanup(endpoint.Close) // closes the idle connections of http.DefaultTransport too
	config := offline(nil)
	config.TokenURL, config.DPoP, config.InsecureAllowPlaintext = endpoint.URL+"/", true, true
	config.HTTPClient = &http.Client{}
	if got, err := authorization(t.Context(), newCredentials(t, config)); got != "DPoP t" || err != nil {
		t.Errorf("without a transport: %q, %v", got, err)
	}

	synctest.Test(t, func(t *testing.T) { // for the pauses between attempts
		refused := errors.New("refused by the network")
		config := offline(func(*http.Request) (*http.Response, error) { return nil, refused })
		config.DPoP = true
		_, err := authorization(t.Context(), newCredentials(t, config))
		wantCode(t, err, codes.Unavailable)
		if !errors.Is(err, refused) {
			t.Errorf("%v, want the transport's error in it", err)
		}
	})
}

package auth0grpcclient

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// maxNonce bounds a nonce that is kept, in bytes.
const maxNonce = 1 << 10

// A prover makes proofs of possession (RFC 9449, section 4.2) with one key.
type prover struct {
	signer *signer
	header string // the same for every proof
	now    func() time.Time

	mu sync.Mutex
	// nonces has the last nonce of each server, by scheme and authority, and the nonce
	// of the token endpoint, by URL. It grows with the servers that the program calls.
	nonces map[string]string
}

func newProver(c *Config) (*prover, error) {
	key := c.DPoPKey
	if key == nil {
		generated, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("auth0grpcclient: making a DPoP key: %w", err)
		}
		key = generated
	}
	s, _ := newSigner(key) // the key was checked
	public, err := (&jose.JSONWebKey{Key: key.Public()}).MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("auth0grpcclient: DPoP key: %w", err)
	}
	return &prover{
		signer: s,
		header: jwsHeader{Type: "dpop+jwt", Algorithm: s.alg, JWK: public}.encode(),
		now:    c.Now,
		nonces: make(map[string]string),
	}, nil
}

// A proofClaims is the payload of a proof.
type proofClaims struct {
	ID        string `json:"jti"`
	Method    string `json:"htm"`
	URL       string `json:"htu"`
	IssuedAt  int64  `json:"iat"`
	TokenHash string `json:"ath,omitempty"`
	Nonce     string `json:"nonce,omitempty"`
}

// prove returns a proof for one request to url, which is without a query. Token
// requests have no token, hence no hash of one.
func (p *prover) prove(url, tokenHash, nonce string) (string, error) {
	return p.signer.sign(p.header, proofClaims{
		ID:        rand.Text(),
		Method:    http.MethodPost, // of token requests, and of every gRPC call
		URL:       url,
		IssuedAt:  p.now().Unix(),
		TokenHash: tokenHash,
		Nonce:     nonce,
	})
}

// hashToken returns the ath claim of proofs that go with a token.
func hashToken(token string) string {
	hash := sha256.Sum256([]byte(token))
	return encode(hash[:])
}

// nonce returns the last nonce of a server, or "".
func (p *prover) nonce(server string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nonces[server]
}

// rememberNonce stores the nonce of a server; it ignores an empty one.
func (p *prover) rememberNonce(server string, values []string) {
	if len(values) == 0 || values[0] == "" || len(values[0]) > maxNonce {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nonces[server] = values[0]
}

// A proofTransport adds a proof to each token request and learns the token
// endpoint's nonces, from answers of any status (RFC 9449, section 8.2).
type proofTransport struct {
	base   http.RoundTripper // nil: http.DefaultTransport
	prover *prover
}

func (t *proofTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.base
	if base == nil {
		base = http.DefaultTransport
	}
	server := r.URL.String()
	proof, err := t.prover.prove(server, "", t.prover.nonce(server))
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("DPoP", proof)
	response, err := base.RoundTrip(r)
	if err == nil {
		t.prover.rememberNonce(server, response.Header.Values("DPoP-Nonce"))
	}
	return response, err
}

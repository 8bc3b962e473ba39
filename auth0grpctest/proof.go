package auth0grpctest

import (
	"crypto"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// proofAge is how far a proof's "iat" may be from the tenant's clock.
const proofAge = 300 * time.Second

// proofAlgorithms are the ones that the token endpoint takes.
var proofAlgorithms = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.RS256, jose.PS256, jose.EdDSA}

// RequireDPoPNonce has the token endpoint refuse proofs without this nonce, as
// Auth0 does to public clients: 400 use_dpop_nonce with the nonce in the header
// DPoP-Nonce, which is also sent with every token from then on. "" ends that.
func (t *Tenant) RequireDPoPNonce(nonce string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dpopNonce = nonce
}

// proofClaims holds the claims that the token endpoint checks.
type proofClaims struct {
	Method   string `json:"htm"`
	URL      string `json:"htu"`
	ID       string `json:"jti"`
	IssuedAt int64  `json:"iat"`
	Nonce    string `json:"nonce"`
}

func invalidProof(text string) *oauthError {
	return &oauthError{http.StatusBadRequest, "invalid_dpop_proof", text}
}

// proof checks the proof of a token request and returns the thumbprint of its
// key, "" for a request without one. It does not use the library's
// check, so that neither hides an error of the other.
func (t *Tenant) proof(w http.ResponseWriter, r *http.Request) (string, *oauthError) {
	values := r.Header.Values("DPoP")
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", invalidProof("More than one DPoP proof.")
	}
	signed, err := jose.ParseSignedCompact(values[0], proofAlgorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return "", invalidProof("The DPoP proof is not a JWS.")
	}
	header := signed.Signatures[0].Protected
	key := header.JSONWebKey
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); typ != "dpop+jwt" || key == nil || !key.IsPublic() {
		return "", invalidProof("The header of the DPoP proof is invalid.")
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return "", invalidProof("The signature of the DPoP proof is invalid.")
	}
	var claims proofClaims
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", invalidProof("The claims of the DPoP proof are invalid.")
	}
	if refusal := t.checkProof(w, claims); refusal != nil {
		return "", refusal
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", invalidProof("The key of the DPoP proof is invalid.")
	}
	return encode(thumbprint), nil
}

func (t *Tenant) checkProof(w http.ResponseWriter, claims proofClaims) *oauthError {
	if claims.Method != http.MethodPost || claims.URL != t.TokenURL() {
		return invalidProof("The DPoP proof is meant for another request.")
	}
	now := t.now()
	if age := now.Sub(time.Unix(claims.IssuedAt, 0)).Abs(); age > proofAge {
		return invalidProof("The DPoP proof is too old or from the future.")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dpopNonce != "" {
		w.Header().Set("DPoP-Nonce", t.dpopNonce)
		if claims.Nonce != t.dpopNonce {
			return &oauthError{http.StatusBadRequest, "use_dpop_nonce", "Authorization server requires nonce in DPoP proof"}
		}
	}
	if claims.ID == "" || t.seen["proof "+claims.ID] {
		return invalidProof("The DPoP proof was used before.")
	}
	t.seen["proof "+claims.ID] = true
	return nil
}

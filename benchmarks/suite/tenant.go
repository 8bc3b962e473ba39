package suite

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// Scope is the scope that the method requires. Every good token has it.
const Scope = "read:orders"

// Sizes of the tokens, in bytes of the compact form.
const (
	Small = 900
	Large = 4096
)

// Algorithms lists the signature algorithms of tokens.
var Algorithms = []string{"RS256", "PS256", "ES256"}

// claims returns the claims of a good token. pad makes it longer. A serial that is not
// empty makes it different from others.
func claims(issuer string, pad int, serial string) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss":   issuer,
		"sub":   auth0grpctest.Subject,
		"aud":   []string{auth0grpctest.Audience, issuer + "userinfo"},
		"azp":   auth0grpctest.ClientID,
		"iat":   now.Unix(),
		"exp":   now.Add(24 * time.Hour).Unix(),
		"scope": "openid profile " + Scope + " write:orders",
	}
	if pad > 0 {
		c["https://example.com/note"] = strings.Repeat("x", pad)
	}
	if serial != "" {
		c["jti"] = serial
	}
	return c
}

// mint returns a good token of about size bytes.
func (s *Suite) mint(alg string, size int, serial string) string {
	header := map[string]any{"alg": alg}
	length := len(s.tenant.Sign(header, claims(s.tenant.Issuer(), 1, serial)))
	return s.tenant.Sign(header, claims(s.tenant.Issuer(), max(1, (size-length)*3/4+1), serial))
}

// mintMany returns different good tokens, about as long as the small one.
func (s *Suite) mintMany(alg string, count int) []string {
	all := make([]string, count)
	for i := range all {
		all[i] = s.mint(alg, Small, rand.Text())
	}
	return all
}

// An issuerClient connects one peer to the tenant and counts its requests for the key
// set. It replaces the algorithm in the key set by the algorithm of the tokens: the
// tenant, like Auth0, publishes its RSA keys for RS256 only.
type issuerClient struct {
	base      http.RoundTripper
	algorithm string
	fetches   atomic.Int64
}

func (s *Suite) newIssuerClient(alg string) *issuerClient {
	return &issuerClient{base: s.tenant.HTTPClient().Transport, algorithm: alg}
}

func (c *issuerClient) client() *http.Client { return &http.Client{Transport: c} }

func (c *issuerClient) RoundTrip(request *http.Request) (*http.Response, error) {
	keySet := strings.HasSuffix(request.URL.Path, "/jwks.json")
	if keySet {
		c.fetches.Add(1)
	}
	response, err := c.base.RoundTrip(request)
	if err != nil || !keySet || c.algorithm != "PS256" {
		return response, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	body = bytes.ReplaceAll(body, []byte(`"RS256"`), []byte(`"PS256"`))
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	response.Header.Del("Content-Length")
	return response, nil
}

// publicKeys returns the tenant's keys, for the floor.
func (s *Suite) publicKeys() (*rsa.PublicKey, *ecdsa.PublicKey, error) {
	response, err := s.tenant.HTTPClient().Get(s.tenant.Issuer() + ".well-known/jwks.json")
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		return nil, nil, err
	}
	var ec *ecdsa.PublicKey
	for _, key := range set.Keys {
		if k, ok := key.Key.(*ecdsa.PublicKey); ok {
			ec = k
		}
	}
	first, ok := set.Keys[0].Key.(*rsa.PublicKey) // the current one
	if !ok || ec == nil {
		return nil, nil, fmt.Errorf("suite: the tenant published other keys than expected")
	}
	return first, ec, nil
}

// A Flood is a kind of call that an attacker makes.
type Flood string

const (
	// NoToken carries no token. It is the cost of a flood without any token check.
	NoToken Flood = "no token"
	// UnknownKey carries tokens for this API, each under another kid that is not
	// published.
	UnknownKey Flood = "unknown kid"
	// BadSignature carries a token for this API under the kid of a published key. Its
	// signature is that key's for another text, so a refusal costs a whole public-key
	// operation.
	BadSignature Flood = "bad signature"
	// Letters carries 16 KiB of base64url in three parts. HPACK's Huffman code
	// shortens it, so client and server encode and decode it bit by bit.
	Letters Flood = "16 KiB garbage, base64url"
	// Symbols carries 16 KiB of characters that HPACK sends unchanged.
	Symbols Flood = "16 KiB garbage, symbols"
)

// Floods lists all kinds, the baseline first.
var Floods = []Flood{NoToken, UnknownKey, BadSignature, Letters, Symbols}

const garbageBytes = 16 << 10 // the longest token that auth0grpc reads

// bad returns count different bad tokens of a kind, or one empty string for no token.
// Only Letters and Symbols are longer than a small good token.
func (s *Suite) bad(kind Flood, count int) []string {
	all := make([]string, count)
	switch kind {
	case NoToken:
		return []string{""}
	case UnknownKey:
		for i := range all {
			all[i] = s.forge(map[string]any{"kid": rand.Text()[:21]})
		}
	case BadSignature:
		for i := range all {
			all[i] = s.forge(nil)
		}
	case Letters:
		for i := range all {
			all[i] = inThree(randomFrom("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", garbageBytes))
		}
	case Symbols:
		for i := range all {
			all[i] = inThree(randomFrom(`!"#$&'()*+,;<>?@[]^{|}~`, garbageBytes))
		}
	}
	return all
}

// forge returns a token with the signature of the small good token.
func (s *Suite) forge(header map[string]any) string {
	members := map[string]any{"alg": "none"} // unsigned, which is faster
	for name, value := range header {
		members[name] = value
	}
	unsigned := s.tenant.Sign(members, claims(s.tenant.Issuer(), s.pad, rand.Text()))
	good := s.good["RS256"][Small]
	_, payload, _ := strings.Cut(strings.TrimSuffix(unsigned, "."), ".")
	head := good[:strings.IndexByte(good, '.')]
	if kid, ok := header["kid"]; ok {
		head = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"RS256","kid":%q,"typ":"JWT"}`, kid))
	}
	return head + "." + payload + good[strings.LastIndexByte(good, '.'):]
}

func randomFrom(alphabet string, length int) []byte {
	text := make([]byte, length)
	_, _ = rand.Read(text) // never fails
	for i, b := range text {
		text[i] = alphabet[int(b)%len(alphabet)]
	}
	return text
}

// inThree puts two dots into text, so that it has the three parts of a JWS.
func inThree(text []byte) string {
	text[len(text)/3], text[2*len(text)/3] = '.', '.'
	return string(text)
}

package keyset

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var quiet = log.New(io.Discard, "", 0)

// rsaKey is the one RSA key of the tests; another costs a tenth of a second.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// edit returns a JWK with some members replaced, or removed if nil.
func edit(t testing.TB, jwk string, members map[string]any) string {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(jwk), &doc); err != nil {
		t.Fatal(err)
	}
	for name, value := range members {
		doc[name] = value
		if value == nil {
			delete(doc, name)
		}
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// modulus returns an odd number of exactly so many bits, base64url.
func modulus(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return base64.RawURLEncoding.EncodeToString(n.SetBit(n, 0, 1).Bytes())
}

// certificate returns a self-signed certificate of key, as x5c wants it.
func certificate(t testing.TB, key crypto.Signer) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "tenant.example"},
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func newEC(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestParseKey(t *testing.T) {
	ecKey := newEC(t, elliptic.P256())
	ec, rs := toJWK(t, "k", "ES256", ecKey.Public()), toJWK(t, "k", "RS256", rsaKey().Public())
	edPub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed := toJWK(t, "k", "EdDSA", edPub)
	with := func(name string, value any) map[string]any { return map[string]any{name: value} }
	tests := []struct {
		name string
		jwk  string
		want error
	}{
		{"RSA", rs, nil},
		{"EC", ec, nil},
		{"Ed25519", ed, nil},
		{"EC P-521", toJWK(t, "k", "", newEC(t, elliptic.P521()).Public()), nil},
		{"no alg, no use", edit(t, rs, map[string]any{"alg": nil, "use": nil}), nil},
		{"unknown members", edit(t, rs, with("x-note", []int{1})), nil},
		{"key_ops verify", edit(t, rs, with("key_ops", []string{"verify"})), nil},
		{"own certificate", edit(t, rs, with("x5c", []string{certificate(t, rsaKey())})), nil},

		{"another's certificate", edit(t, rs, with("x5c", []string{certificate(t, ecKey)})), errBadKey},
		{"nonsense certificate", edit(t, rs, with("x5c", []string{"AAAA"})), errBadKey},
		{"thumbprint of another", edit(t, rs, map[string]any{
			"x5c": []string{certificate(t, rsaKey())}, "x5t": strings.Repeat("A", 27),
		}), errBadKey},
		{"not an object", `1`, errBadKey},
		{"null", `null`, errBadKey},
		{"empty", `{}`, errBadKey},
		{"kty missing", edit(t, rs, with("kty", nil)), errBadKey},
		{"kty unknown", edit(t, rs, with("kty", "QUANTUM")), errBadKey},
		{"kty in another case", strings.Replace(rs, `"kty"`, `"KTY"`, 1), errBadKey},
		{"kty twice", `{"kty":"EC",` + rs[1:], errBadKey},
		{"kid missing", edit(t, rs, with("kid", nil)), errNoKeyID},
		{"kid a number", edit(t, rs, with("kid", 7)), errBadKey},
		{"for encryption", edit(t, rs, with("use", "enc")), errKeyUsage},
		{"use in another case", edit(t, rs, with("use", "SIG")), errKeyUsage},
		{"key_ops without verify", edit(t, rs, with("key_ops", []string{"sign", "encrypt"})), errKeyUsage},
		{"key_ops empty", edit(t, rs, with("key_ops", []string{})), errKeyUsage},
		{"key_ops no list", edit(t, rs, with("key_ops", "verify")), errKeyUsage},
		{"alg for encryption", edit(t, rs, with("alg", "RSA-OAEP")), errKeyUsage},
		{"alg HS256 on an RSA key", edit(t, rs, with("alg", "HS256")), errKeyUsage},
		{"alg none", edit(t, rs, with("alg", "none")), errKeyUsage},
		{"alg of another curve", edit(t, ec, with("alg", "ES384")), errKeyUsage},
		{"X25519", edit(t, ed, with("crv", "X25519")), errBadKey},

		{"symmetric", `{"kty":"oct","kid":"k","alg":"HS256","k":"c2VjcmV0"}`, errSecret},
		{"symmetric material in a public key", edit(t, rs, with("k", "c2VjcmV0")), errSecret},
		{"private RSA", edit(t, rs, with("d", "AQAB")), errSecret},
		{"private member null", strings.Replace(rs, "{", `{"d":null,`, 1), errSecret},
		{"private EC", edit(t, ec, with("d", "AQAB")), errSecret},

		{"RSA-1024", edit(t, rs, with("n", modulus(1024))), errBadKey},
		{"RSA-2047", edit(t, rs, with("n", modulus(2047))), errBadKey},
		{"RSA-2048", edit(t, rs, with("n", modulus(2048))), nil},
		{"RSA-16384", edit(t, rs, with("n", modulus(16384))), errBadKey},
		{"n missing", edit(t, rs, with("n", nil)), errBadKey},
		{"n not base64url", edit(t, rs, with("n", "+/")), errBadKey},
		{"e = 1", edit(t, rs, with("e", "AQ")), errBadKey},
		{"e = 3", edit(t, rs, with("e", "Aw")), nil},
		{"e = 65536", edit(t, rs, with("e", "AQAA")), errBadKey},
		{"e of 33 bits", edit(t, rs, with("e", "AQAAAAE")), errBadKey},
		{"e of 80 bits", edit(t, rs, with("e", "AQAAAAAAAAAAAQ")), errBadKey},
		{"point not on the curve", edit(t, ec, with("x", strings.Repeat("A", 43))), errBadKey},
		{"point at infinity", edit(t, ec, map[string]any{"x": strings.Repeat("A", 43), "y": strings.Repeat("A", 43)}), errBadKey},
		{"point of another curve", edit(t, ec, with("crv", "P-384")), errBadKey},
		{"Ed25519 too short", edit(t, ed, with("x", "AAAA")), errBadKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := parseKey([]byte(tt.jwk))
			if err != tt.want || (k == nil) != (err != nil) {
				t.Fatalf("parseKey = %v, %v; want %v", k, err, tt.want)
			}
		})
	}
}

func TestSoundRSA(t *testing.T) {
	ofBits := func(bits int) *big.Int { n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1)); return n.SetBit(n, 0, 1) }
	tests := []struct {
		name string
		pub  rsa.PublicKey
		want bool
	}{
		{"largest", rsa.PublicKey{N: ofBits(maxRSABits), E: 65537}, true},
		{"too large", rsa.PublicKey{N: ofBits(maxRSABits + 1), E: 65537}, false},
		{"even modulus", rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}, false},
		{"largest exponent", rsa.PublicKey{N: ofBits(2048), E: 1<<31 - 1}, true},
		{"negative exponent", rsa.PublicKey{N: ofBits(2048), E: -3}, false},
	}
	for _, tt := range tests {
		if got := soundRSA(&tt.pub); got != tt.want {
			t.Errorf("%s: soundRSA = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// One bad key spoils only itself, and the good ones keep their order; go-oidc
// loses the whole set over an x5c that does not match.
func TestParseSet(t *testing.T) {
	ec := func(kid string) string { return ecJWK(t, kid) }
	a, b, c := ec("a"), ec("b"), ec("c")
	many := make([]string, maxKeys+5)
	for i := range many {
		many[i] = edit(t, a, map[string]any{"kid": fmt.Sprint(i)})
	}
	tests := []struct {
		name string
		keys []string
		want []string // ids
	}{
		{"all good", []string{c, a, b}, []string{"c", "a", "b"}},
		{"bad ones among them", []string{
			`1`, `{}`, a, edit(t, toJWK(t, "rsa1024", "", rsaKey().Public()), map[string]any{"n": modulus(1024)}),
			edit(t, a, map[string]any{"kid": "cert", "x5c": []string{certificate(t, rsaKey())}}),
			b, `{"kty":"oct","kid":"s","k":"AAAA"}`, `{"kty":"NEW","kid":"n"}`,
		}, []string{"a", "b"}},
		{"the same key twice", []string{a, b, a}, []string{"a", "b"}},
		{"an id of many keys", []string{ec("a"), ec("a"), b, ec("a"), ec("a"), ec("a")}, []string{"a", "a", "b", "a"}},
		{"one key under two ids", []string{a, edit(t, a, map[string]any{"kid": "z"})}, []string{"a", "z"}},
		{"only bad ones", []string{`{}`, `null`}, nil},
		{"more than are looked at", append(many[:maxKeys:maxKeys], b), ids(many[:maxKeys])},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := parseSet([]byte(`{"keys":[` + strings.Join(tt.keys, ",") + `]}`))
			if (err == nil) != (tt.want != nil) {
				t.Errorf("error = %v", err)
			}
			var got []string
			for _, k := range keys {
				got = append(got, k.ID)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ids differ (-want +got):\n%s", diff)
			}
		})
	}
}

// ids returns "0", "1" and so on, one for each key.
func ids(keys []string) []string {
	var list []string
	for i := range keys {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

// Algorithm confusion (CVE-2026-33322, CVE-2026-23518): the key's type decides
// first, its label second.
func TestFits(t *testing.T) {
	edPub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
		"HS256", "none", "RSA-OAEP", "rs256", "",
	}
	tests := []struct {
		name string
		pub  crypto.PublicKey
		alg  string
		want []string
	}{
		{"RSA", rsaKey().Public(), "", all[:6]},
		{"RSA for RS256", rsaKey().Public(), "RS256", []string{"RS256", "PS256"}},
		{"RSA for RS512", rsaKey().Public(), "RS512", []string{"RS512", "PS512"}},
		{"RSA for PS256", rsaKey().Public(), "PS256", []string{"PS256"}},
		{"P-256", newEC(t, elliptic.P256()).Public(), "", []string{"ES256"}},
		{"P-256 for ES256", newEC(t, elliptic.P256()).Public(), "ES256", []string{"ES256"}},
		{"P-384", newEC(t, elliptic.P384()).Public(), "", []string{"ES384"}},
		{"P-521", newEC(t, elliptic.P521()).Public(), "", []string{"ES512"}},
		{"P-224", newEC(t, elliptic.P224()).Public(), "", nil},
		{"Ed25519", edPub, "", []string{"EdDSA"}},
		{"a secret", []byte("secret"), "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := &Key{ID: "k", Public: tt.pub, alg: tt.alg}
			var got []string
			for _, alg := range all {
				if k.Fits(alg) {
					got = append(got, alg)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("algorithms differ (-want +got):\n%s", diff)
			}
		})
	}
}

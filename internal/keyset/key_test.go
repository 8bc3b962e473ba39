package keyset

import (
	"bytes"
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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/internal/jwk"
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
func edit(t testing.TB, key string, members map[string]any) string {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(key), &doc); err != nil {
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
func certificate(t testing.TB, key crypto.Signer, serial int64) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
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
		doc  string
		want error
	}{
		{"RSA", rs, nil},
		{"EC", ec, nil},
		{"Ed25519", ed, nil},
		{"EC P-521", toJWK(t, "k", "", newEC(t, elliptic.P521()).Public()), nil},
		{"no alg, no use", edit(t, rs, map[string]any{"alg": nil, "use": nil}), nil},
		{"unknown members", edit(t, rs, with("x-note", []int{1})), nil},
		{"key_ops verify", edit(t, rs, with("key_ops", []string{"verify"})), nil},
		{"not an object", `1`, errBadKey},
		{"null", `null`, errNoKeyID},
		{"empty", `{}`, errNoKeyID},
		{"kty missing", edit(t, rs, with("kty", nil)), jwk.ErrType},
		{"kty unknown", edit(t, rs, with("kty", "QUANTUM")), jwk.ErrType},
		{"kty in another case", strings.Replace(rs, `"kty"`, `"KTY"`, 1), jwk.ErrType},
		{"kty twice", `{"kty":"EC",` + rs[1:], errBadKey},
		{"kid missing", edit(t, rs, with("kid", nil)), errNoKeyID},
		{"kid a number", edit(t, rs, with("kid", 7)), errBadKey},
		{"for encryption", edit(t, rs, with("use", "enc")), errKeyUse},
		{"use in another case", edit(t, rs, with("use", "SIG")), errKeyUse},
		{"key_ops without verify", edit(t, rs, with("key_ops", []string{"sign", "encrypt"})), errKeyUse},
		{"key_ops empty", edit(t, rs, with("key_ops", []string{})), errKeyUse},
		{"key_ops no list", edit(t, rs, with("key_ops", "verify")), errBadKey},
		{"alg for encryption", edit(t, rs, with("alg", "RSA-OAEP")), errKeyAlg},
		{"alg HS256 on an RSA key", edit(t, rs, with("alg", "HS256")), errKeyAlg},
		{"alg none", edit(t, rs, with("alg", "none")), errKeyAlg},
		{"alg of another curve", edit(t, ec, with("alg", "ES384")), errKeyAlg},
		{"X25519", edit(t, ed, with("crv", "X25519")), jwk.ErrType},

		{"symmetric", `{"kty":"oct","kid":"k","alg":"HS256","k":"c2VjcmV0"}`, errSecret},
		{"symmetric material in a public key", edit(t, rs, with("k", "c2VjcmV0")), errSecret},
		{"private RSA", edit(t, rs, with("d", "AQAB")), errSecret},
		{"private member null", strings.Replace(rs, "{", `{"d":null,`, 1), errSecret},
		{"private EC", edit(t, ec, with("d", "AQAB")), errSecret},
		{"private Ed25519", edit(t, ed, with("d", "AQAB")), errSecret},
		{"first prime", edit(t, rs, with("p", "AQAB")), errSecret},
		{"second prime", edit(t, rs, with("q", "AQAB")), errSecret},
		{"first exponent", edit(t, rs, with("dp", "AQAB")), errSecret},
		{"second exponent", edit(t, rs, with("dq", "AQAB")), errSecret},
		{"coefficient", edit(t, rs, with("qi", "AQAB")), errSecret},
		{"other primes", edit(t, rs, with("oth", []string{})), errSecret},
		{"private AKP", edit(t, rs, with("priv", "AQAB")), errSecret},

		{"RSA-1024", edit(t, rs, with("n", modulus(1024))), jwk.ErrRSASize},
		{"RSA-2047", edit(t, rs, with("n", modulus(2047))), jwk.ErrRSASize},
		{"RSA-2048", edit(t, rs, with("n", modulus(2048))), nil},
		{"RSA-16384", edit(t, rs, with("n", modulus(16384))), jwk.ErrRSASize},
		{"n missing", edit(t, rs, with("n", nil)), jwk.ErrValue},
		{"n not base64url", edit(t, rs, with("n", "+/")), jwk.ErrValue},
		{"e = 1", edit(t, rs, with("e", "AQ")), jwk.ErrValue},
		{"e = 3", edit(t, rs, with("e", "Aw")), nil},
		{"e = 65536", edit(t, rs, with("e", "AQAA")), jwk.ErrValue},
		{"e of 33 bits", edit(t, rs, with("e", "AQAAAAE")), jwk.ErrValue},
		{"e of 80 bits", edit(t, rs, with("e", "AQAAAAAAAAAAAQ")), jwk.ErrValue},
		{"point not on the curve", edit(t, ec, with("x", strings.Repeat("A", 43))), jwk.ErrValue},
		{"point at infinity", edit(t, ec, map[string]any{"x": strings.Repeat("A", 43), "y": strings.Repeat("A", 43)}), jwk.ErrValue},
		{"point of another curve", edit(t, ec, with("crv", "P-384")), jwk.ErrValue},
		{"Ed25519 too short", edit(t, ed, with("x", "AAAA")), jwk.ErrValue},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := parseKey([]byte(tt.doc))
			if err != tt.want || (k == nil) != (err != nil) {
				t.Fatalf("parseKey = %v, %v; want %v", k, err, tt.want)
			}
		})
	}
}

// A key needs its own members alone. An error in any other one does not cost it:
// Auth0 sends x5c with every key, and Go refuses certificates that others accept.
func TestParseKeyIgnoresUnusedMembers(t *testing.T) {
	ecKey := newEC(t, elliptic.P256())
	der := certificate(t, rsaKey(), 1)
	raw, err := base64.StdEncoding.DecodeString(der)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	// x509.CreateCertificate refuses a negative serial number, so the test
	// sets the sign bit of a one-byte serial number in the encoding.
	negative := bytes.Replace(raw, []byte{2, 1, 1}, []byte{2, 1, 0x81}, 1)
	if _, err := x509.ParseCertificate(negative); err == nil {
		t.Fatal("Go accepts a negative serial number")
	}
	for _, tt := range []struct {
		name  string
		value any
	}{
		{"x5c", []string{der}},
		{"x5c", []string{base64.StdEncoding.EncodeToString(negative)}},
		{"x5c", []string{base64.StdEncoding.EncodeToString(spki)}}, // a public key alone
		{"x5c", []string{base64.URLEncoding.EncodeToString(raw)}},
		{"x5c", []string{base64.RawURLEncoding.EncodeToString(raw)}},
		{"x5c", []string{certificate(t, ecKey, 1)}}, // of another key
		{"x5c", der}, // no list
		{"x5c", []string{"AAAA", "", "!"}},
		{"x5c", []any{1, nil}},
		{"x5c", nil},
		{"x5c", map[string]any{}},
		{"x5t", strings.Repeat("A", 27)},
		{"x5t", 1},
		{"x5t", []string{"!"}},
		{"x5t#S256", "!"},
		{"x5t#S256", strings.Repeat("A", 43)},
		{"x5u", "http://evil.example/"},
		{"x5u", "://"},
		{"x5u", 1},
		{"crv", "P-256"}, // beside n and e
		{"exp", "soon"},
		{"iat", -1},
		{"nbf", []int{}},
		{"revoked", "no"},
		{"ext", "true"},
	} {
		for kind, doc := range map[string]string{
			"RSA": toJWK(t, "k", "RS256", rsaKey().Public()),
			"EC":  toJWK(t, "k", "ES256", ecKey.Public()),
		} {
			if kind == "EC" && tt.name == "crv" {
				continue
			}
			member, err := json.Marshal(map[string]any{tt.name: tt.value})
			if err != nil {
				t.Fatal(err)
			}
			doc = string(member[:len(member)-1]) + "," + doc[1:]
			if _, err := parseKey([]byte(doc)); err != nil {
				t.Errorf("%s with %.60s: %v", kind, member, err)
			}
		}
	}
}

// One bad key spoils only itself, and the good ones keep their order; go-oidc
// loses the whole set over an x5c that does not match.
func TestParseSet(t *testing.T) {
	ec := func(kid string) string { return ecJWK(t, kid) }
	a, b, c := ec("a"), ec("b"), ec("c")
	many := make([]string, 1000)
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
			edit(t, a, map[string]any{"kid": "cert", "x5c": []string{"!"}}),
			b, `{"kty":"oct","kid":"s","k":"AAAA"}`, `{"kty":"NEW","kid":"n"}`,
		}, []string{"a", "cert", "b"}},
		{"the same key twice", []string{a, b, a}, []string{"a", "b"}},
		{"an id of many keys", []string{ec("a"), ec("a"), b, ec("a"), ec("a"), ec("a")}, []string{"a", "a", "b", "a"}},
		{"one key with and without alg", []string{a, edit(t, a, map[string]any{"alg": nil})}, []string{"a", "a"}},
		{"one key under two ids", []string{a, edit(t, a, map[string]any{"kid": "z"})}, []string{"a", "z"}},
		{"only bad ones", []string{`{}`, `null`}, nil},
		{"a thousand", append(many[:1000:1000], b), append(ids(many), "b")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := parseSet([]byte(`{"keys":[` + strings.Join(tt.keys, ",") + `]}`))
			if (err == nil) != (tt.want != nil) {
				t.Errorf("error = %v", err)
			}
			var got []string
			for _, k := range list.keys {
				got = append(got, k.ID)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ids differ (-want +got):\n%s", diff)
			}
		})
	}
}

// The keys that are not used are listed by kid and reason. A kid can hold
// anything, so it is cut and cleaned; a flood of keys is counted.
func TestUnusedKeys(t *testing.T) {
	a, rs := ecJWK(t, "a"), toJWK(t, "r", "RS256", rsaKey().Public())
	with := func(members map[string]any) string { return edit(t, rs, members) }
	tests := []struct {
		name    string
		keys    []string
		want    []UnusedKey
		omitted int
	}{
		{"none", []string{a}, nil, 0},
		{"published twice", []string{a, a}, nil, 0},
		{"one of each", []string{
			`1`, `{"kid":7}`, with(map[string]any{"kid": nil}), with(map[string]any{"d": "secret"}),
			with(map[string]any{"use": "enc"}), with(map[string]any{"key_ops": []string{"sign"}}),
			with(map[string]any{"alg": "RSA-OAEP"}), with(map[string]any{"kty": "AKP"}),
			with(map[string]any{"n": modulus(1024)}), with(map[string]any{"n": "secret!"}), a,
		}, []UnusedKey{
			{"", "keyset: key is not a JSON object with well-typed members"},
			{"", "keyset: key is not a JSON object with well-typed members"},
			{"", "keyset: key has no kid"},
			{"r", "keyset: key has private or symmetric material"},
			{"r", "keyset: key is not for verifying signatures"},
			{"r", "keyset: key is not for verifying signatures"},
			{"r", "keyset: key's alg is not a signature algorithm of its type"},
			{"r", "jwk: key type or curve is not supported"},
			{"r", "jwk: RSA modulus is not of 2048 to 8192 bits"},
			{"r", "jwk: key has a missing or malformed value"},
		}, 0},
		{"a fourth of one id", []string{a, ecJWK(t, "a"), ecJWK(t, "a"), ecJWK(t, "a"), a},
			[]UnusedKey{{"a", "keyset: kid has 3 other keys already"}}, 0},
		{"hostile kid", []string{a, with(map[string]any{"kid": "x\r\n\x1b[2Jü" + strings.Repeat("y", 100), "use": "enc"})},
			[]UnusedKey{{"x???[2J??" + strings.Repeat("y", 55) + "...", "keyset: key is not for verifying signatures"}}, 0},
		{"longest kid", []string{a, with(map[string]any{"kid": strings.Repeat("~ ", 32), "use": "enc"})},
			[]UnusedKey{{strings.Repeat("~ ", 32), "keyset: key is not for verifying signatures"}}, 0},
		{"only bad ones", []string{`{"kid":"b"}`},
			[]UnusedKey{{"b", "jwk: key type or curve is not supported"}}, 0},
		{"a flood of whole keys", append(slices.Repeat([]string{with(map[string]any{"use": "enc"})}, maxUnused+7), a),
			slices.Repeat([]UnusedKey{{"r", "keyset: key is not for verifying signatures"}}, maxUnused), 7},
		{"a flood", append(slices.Repeat([]string{`{}`}, maxUnused+7), a),
			slices.Repeat([]UnusedKey{{"", "keyset: key has no kid"}}, maxUnused), 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, _ := parseSet([]byte(`{"keys":[` + strings.Join(tt.keys, ",") + `]}`))
			if diff := cmp.Diff(tt.want, list.unused); diff != "" {
				t.Errorf("unused keys differ (-want +got):\n%s", diff)
			}
			if list.omitted != tt.omitted {
				t.Errorf("omitted = %d, want %d", list.omitted, tt.omitted)
			}
		})
	}
}

// A document of the largest size is parsed in bounded time and memory, for all kinds of
// keys: only its size bounds their number.
func BenchmarkLargestSet(b *testing.B) {
	edPub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	p521 := newEC(b, elliptic.P521())
	for _, bb := range []struct {
		name string
		key  func(i int) string
	}{
		{"nothing", func(int) string { return `1` }},
		{"empty", func(int) string { return `{}` }},
		{"Ed25519", func(i int) string { return toJWK(b, fmt.Sprint(i), "", edPub) }},
		{"P-521", func(i int) string { return toJWK(b, fmt.Sprint(i), "", p521.Public()) }},
		{"RSA", func(i int) string { return toJWK(b, fmt.Sprint(i), "", rsaKey().Public()) }},
		{"RSA, one id", func(int) string { return toJWK(b, "k", "", rsaKey().Public()) }},
	} {
		doc := []byte(`{"keys":[` + bb.key(0))
		for i := 1; ; i++ {
			key := bb.key(i)
			if len(doc)+len(key)+3 > maxBody {
				break
			}
			doc = append(append(doc, ','), key...)
		}
		doc = append(doc, `]}`...)
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				list, _ := parseSet(doc)
				newSnapshot(newSnapshot(nil, list.keys, epoch), list.keys, epoch)
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
	k, err := parseKey([]byte(toJWK(t, "k", "RS512", rsaKey().Public())))
	if err != nil || !k.Fits("RS512") || k.Fits("RS256") {
		t.Errorf("a key labelled RS512 does not fit RS512 alone: %v", err)
	}

	edPub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
		"Ed25519", "HS256", "none", "RSA-OAEP", "rs256", "",
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
		{"Ed25519", edPub, "", []string{"EdDSA", "Ed25519"}},
		{"Ed25519 for EdDSA", edPub, "EdDSA", []string{"EdDSA", "Ed25519"}},
		{"Ed25519 for Ed25519", edPub, "Ed25519", []string{"EdDSA", "Ed25519"}},
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

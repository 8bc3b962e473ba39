package dpop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/internal/dpop"
	"github.com/auth0grpc/auth0grpc/internal/jws"
)

const (
	uri         = "https://api.example.com/shop.Orders/List"
	accessToken = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"
)

var (
	now  = time.Unix(1_800_000_000, 0)
	uris = []string{"https://api.example.com:8443/shop.Orders/List", uri}
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var keys = sync.OnceValue(func() map[string]crypto.Signer {
	all := map[string]crypto.Signer{}
	all["RSA"], _ = rsa.GenerateKey(rand.Reader, 2048)
	all["P-256"], _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	all["P-384"], _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	all["P-521"], _ = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, all["Ed25519"], _ = ed25519.GenerateKey(rand.Reader)
	return all
})

// publicJWK returns key's public members, by go-jose.
func publicJWK(t testing.TB, key crypto.PublicKey) map[string]any {
	t.Helper()
	doc, err := json.Marshal(jose.JSONWebKey{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]any{}
	if err := json.Unmarshal(doc, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

func encode(t testing.TB, members map[string]any) string {
	t.Helper()
	doc, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

// signES256 signs any two documents, sound or not.
func signES256(t testing.TB, header, payload string) string {
	t.Helper()
	input := b64(header) + "." + b64(payload)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, keys()["P-256"].(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + b64(string(signature))
}

func header(t testing.TB) map[string]any {
	return map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": publicJWK(t, keys()["P-256"].Public())}
}

func claims() map[string]any {
	return map[string]any{"jti": "id-1", "htm": "POST", "htu": uri, "iat": now.Unix(), "ath": hash(accessToken)}
}

// proof returns a valid ES256 proof, changed by edit.
func proof(t testing.TB, edit func(header, claims map[string]any)) string {
	t.Helper()
	h, c := header(t), claims()
	if edit != nil {
		edit(h, c)
	}
	return signES256(t, encode(t, h), encode(t, c))
}

func TestVerify(t *testing.T) {
	v := dpop.NewVerifier(dpop.Config{})
	want := &dpop.Proof{
		Thumbprint: thumbprintByJose(t, keys()["P-256"].Public()),
		ID:         "id-1",
		IssuedAt:   now,
		Expiry:     now.Add(300 * time.Second),
		Nonce:      "n-1",
	}
	got, err := v.Verify(now, proof(t, func(_, c map[string]any) { c["nonce"] = "n-1" }), uris, accessToken)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("proof (-want +got):\n%s", diff)
	}
}

// Valid proofs that differ from the common one.
func TestVerifyAccepts(t *testing.T) {
	for name, edit := range map[string]func(h, c map[string]any){
		"another listed authority": func(_, c map[string]any) { c["htu"] = uris[0] },
		"htu with a query":         func(_, c map[string]any) { c["htu"] = uri + "?a=b" },
		"htu with a fragment":      func(_, c map[string]any) { c["htu"] = uri + "#a" },
		"htu not normalised":       func(_, c map[string]any) { c["htu"] = "HTTPS://API.example.com:443/x/../shop%2eOrders/%4Cist" },
		"the longest jti":          func(_, c map[string]any) { c["jti"] = strings.Repeat("j", 256) },
		"the longest nonce":        func(_, c map[string]any) { c["nonce"] = strings.Repeat("n", 256) },
		"the oldest iat":           func(_, c map[string]any) { c["iat"] = now.Unix() - 300 },
		"the newest iat":           func(_, c map[string]any) { c["iat"] = now.Unix() + 30 },
		"iat with a fraction":      func(_, c map[string]any) { c["iat"] = float64(now.Unix()) - 0.5 },
		"unknown claims":           func(_, c map[string]any) { c["exp"], c["HTM"] = 1, "GET" },
		"unknown header members":   func(h, _ map[string]any) { h["kid"], h["jku"] = "k", "https://evil.example" },
		"jwk for signatures":       func(h, _ map[string]any) { h["jwk"].(map[string]any)["use"] = "sig" },
		"jwk with its alg":         func(h, _ map[string]any) { h["jwk"].(map[string]any)["alg"] = "ES256" },
		"jwk as WebCrypto exports it": func(h, _ map[string]any) {
			maps.Copy(h["jwk"].(map[string]any), map[string]any{"ext": true, "key_ops": []string{"verify"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := dpop.NewVerifier(dpop.Config{}).Verify(now, proof(t, edit), uris, accessToken); err != nil {
				t.Error(err)
			}
		})
	}
}

type refusal struct {
	name string
	edit func(h, c map[string]any)
	want string // the detail
}

func setHeader(name string, value any) func(h, c map[string]any) {
	return func(h, _ map[string]any) { set(h, name, value) }
}

func setClaim(name string, value any) func(h, c map[string]any) {
	return func(_, c map[string]any) { set(c, name, value) }
}

func setJWK(name string, value any) func(h, c map[string]any) {
	return func(h, _ map[string]any) { set(h["jwk"].(map[string]any), name, value) }
}

// set removes the member when value is nil.
func set(members map[string]any, name string, value any) {
	if members[name] = value; value == nil {
		delete(members, name)
	}
}

const (
	badClaims = "claims are not a JSON object of the right types"
	badID     = "jti is missing or longer than 256 bytes"
	badMethod = "htm is not the request's method"
	badURI    = "htu is not the request's URI"
	tooOld    = "iat is missing or too old"
	tooNew    = "iat is in the future"
	badHash   = "ath is not the hash of the access token"
	badType   = "typ is not dpop+jwt"
	badAlg    = "alg is not accepted"
	badKey    = "jwk is not a public key for alg"
	private   = "jwk holds private members"
	noForm    = "not a compact JWS"
	extension = "crit and b64 are not supported"
	unsigned  = "signature does not verify"
)

var refusals = []refusal{
	{"no typ", setHeader("typ", nil), badType},
	{"typ of a token", setHeader("typ", "JWT"), badType},
	{"typ of an access token", setHeader("typ", "at+jwt"), badType},
	{"typ in another case", setHeader("typ", "DPoP+JWT"), badType},
	{"typ with application/", setHeader("typ", "application/dpop+jwt"), badType},
	{"typ a number", setHeader("typ", 1), noForm},
	{"no alg", setHeader("alg", nil), noForm},
	{"alg none", setHeader("alg", "none"), badAlg},
	{"alg symmetric", setHeader("alg", "HS256"), badAlg},
	{"alg not on the list", setHeader("alg", "ES384"), badAlg},
	{"alg in another case", setHeader("alg", "es256"), badAlg},
	{"crit", setHeader("crit", []string{"exp"}), extension},
	{"b64", setHeader("b64", false), extension},

	{"no jwk", setHeader("jwk", nil), badKey},
	{"jwk a string", setHeader("jwk", "EC"), badKey},
	{"jwk null", setHeader("jwk", json.RawMessage("null")), badKey},
	{"jwk empty", setHeader("jwk", map[string]any{}), badKey},
	{"jwk with d", setJWK("d", "AA"), private},
	{"jwk with p", setJWK("p", "AA"), private},
	{"jwk with q", setJWK("q", "AA"), private},
	{"jwk with dp", setJWK("dp", "AA"), private},
	{"jwk with dq", setJWK("dq", "AA"), private},
	{"jwk with qi", setJWK("qi", "AA"), private},
	{"jwk with oth", setJWK("oth", []any{}), private},
	{"jwk with k", setJWK("k", "AA"), private},
	{"jwk with priv", setJWK("priv", "AA"), private},
	{"jwk with an empty d", setJWK("d", ""), private},
	{"jwk with d null", setJWK("d", json.RawMessage("null")), private},
	{"jwk symmetric", setHeader("jwk", map[string]any{"kty": "oct", "k": "c2VjcmV0"}), private},
	{"jwk symmetric without k", setJWK("kty", "oct"), badKey},
	{"jwk without kty", setJWK("kty", nil), badKey},
	{"jwk with kty in another case", setJWK("kty", "ec"), badKey},
	{"jwk of RSA for ES256", setJWK("kty", "RSA"), badKey},
	{"jwk of OKP for ES256", setHeader("jwk", map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(strings.Repeat("x", 32))}), badKey},
	{"jwk without crv", setJWK("crv", nil), badKey},
	{"jwk on an unknown curve", setJWK("crv", "secp256k1"), badKey},
	{"jwk on another curve", setJWK("crv", "P-384"), badKey},
	{"jwk without x", setJWK("x", nil), badKey},
	{"jwk without y", setJWK("y", nil), badKey},
	{"jwk with x a number", setJWK("x", 1), badKey},
	{"jwk off the curve", setJWK("x", b64(strings.Repeat("x", 32))), badKey},
	{"jwk at infinity", func(h, _ map[string]any) {
		zero := b64(strings.Repeat("\x00", 32))
		set(h["jwk"].(map[string]any), "x", zero)
		set(h["jwk"].(map[string]any), "y", zero)
	}, badKey},
	{"jwk with x padded", func(h, _ map[string]any) {
		k := h["jwk"].(map[string]any)
		k["x"] = k["x"].(string) + "="
	}, badKey},
	{"jwk with a line feed in x", func(h, _ map[string]any) {
		k := h["jwk"].(map[string]any)
		k["x"] = k["x"].(string) + "\n"
	}, badKey},
	{"jwk with x too long", func(h, _ map[string]any) {
		k := h["jwk"].(map[string]any)
		x, _ := base64.RawURLEncoding.DecodeString(k["x"].(string))
		k["x"] = b64("\x00" + string(x))
	}, badKey},
	{"jwk for encryption", setJWK("use", "enc"), badKey},
	{"jwk for another alg", setJWK("alg", "ES384"), badKey},
	{"jwk for signing only", setJWK("key_ops", []string{"sign"}), badKey},
	{"jwk with key_ops a string", setJWK("key_ops", "verify"), badKey},
	{"jwk with a number in key_ops", setJWK("key_ops", []any{"verify", 1}), badKey},
	{"jwk of someone else", func(h, _ map[string]any) {
		h["jwk"] = map[string]any{"kty": "EC", "crv": "P-256",
			"x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}
	}, unsigned},

	{"no jti", setClaim("jti", nil), badID},
	{"jti empty", setClaim("jti", ""), badID},
	{"jti too long", setClaim("jti", strings.Repeat("j", 257)), badID},
	{"jti a number", setClaim("jti", 1), badClaims},
	{"no htm", setClaim("htm", nil), badMethod},
	{"htm GET", setClaim("htm", "GET"), badMethod},
	{"htm in lower case", setClaim("htm", "post"), badMethod},
	{"htm a list", setClaim("htm", []string{"POST"}), badClaims},
	{"no htu", setClaim("htu", nil), badURI},
	{"htu empty", setClaim("htu", ""), badURI},
	{"htu of another method", setClaim("htu", "https://api.example.com/shop.Orders/Delete"), badURI},
	{"htu of another host", setClaim("htu", "https://evil.example/shop.Orders/List"), badURI},
	{"htu with another port", setClaim("htu", "https://api.example.com:444/shop.Orders/List"), badURI},
	{"htu by http", setClaim("htu", "http://api.example.com/shop.Orders/List"), badURI},
	{"htu with another case in the path", setClaim("htu", "https://api.example.com/shop.orders/List"), badURI},
	{"htu with a slash more", setClaim("htu", uri+"/"), badURI},
	{"htu with a user", setClaim("htu", "https://api.example.com@evil.example/shop.Orders/List"), badURI},
	{"htu without a host", setClaim("htu", "/shop.Orders/List"), badURI},
	{"no iat", setClaim("iat", nil), tooOld},
	{"iat too old", setClaim("iat", now.Unix()-301), tooOld},
	{"iat of 1970", setClaim("iat", 0), tooOld},
	{"iat a little too old", setClaim("iat", float64(now.Unix())-300.25), tooOld},
	{"iat too new", setClaim("iat", now.Unix()+31), tooNew},
	{"iat a little too new", setClaim("iat", float64(now.Unix())+30.25), tooNew},
	{"iat a string", setClaim("iat", fmt.Sprint(now.Unix())), badClaims},
	{"iat negative", setClaim("iat", -1), badClaims},
	{"iat far off", setClaim("iat", 1e300), badClaims},
	{"no ath", setClaim("ath", nil), badHash},
	{"ath empty", setClaim("ath", ""), badHash},
	{"ath of another token", setClaim("ath", hash("other")), badHash},
	{"ath padded", setClaim("ath", hash(accessToken)+"="), badHash},
	{"ath the token", setClaim("ath", accessToken), badHash},
	{"nonce a number", setClaim("nonce", 1), badClaims},
	{"nonce too long", setClaim("nonce", strings.Repeat("n", 257)), "nonce is longer than 256 bytes"},
}

func refused(t *testing.T, v *dpop.Verifier, raw, want string) {
	t.Helper()
	got, err := v.Verify(now, raw, uris, accessToken)
	if got != nil || !errors.Is(err, dpop.ErrProof) || err.Error() != dpop.ErrProof.Error()+": "+want {
		t.Errorf("Verify = %v, %v; want no proof and %q", got, err, want)
	}
}

func TestVerifyRefuses(t *testing.T) {
	v := dpop.NewVerifier(dpop.Config{})
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) { refused(t, v, proof(t, tt.edit), tt.want) })
	}
}

// Errors that no edit of a map can express.
func TestVerifyRefusesText(t *testing.T) {
	v := dpop.NewVerifier(dpop.Config{})
	sound := proof(t, nil)
	h, c := encode(t, header(t)), encode(t, claims())
	for _, tt := range []struct{ name, raw, want string }{
		{"empty", "", noForm},
		{"not a JWT", "proof", noForm},
		{"two proofs", sound + "," + sound, noForm},
		{"two parts", sound[:strings.LastIndex(sound, ".")], noForm},
		{"no signature", sound[:strings.LastIndex(sound, ".")+1], noForm},
		{"space before", " " + sound, noForm},
		{"too long", sound + strings.Repeat("A", 8<<10), "longer than 8 KiB"},
		{"a million dots", strings.Repeat(".", 1<<20), "longer than 8 KiB"},
		{"thousands of dots", strings.Repeat(".", 8<<10), noForm},
		{"another signature", sound[:strings.LastIndex(sound, ".")+1] + b64(strings.Repeat("s", 64)), unsigned},
		{"a short signature", sound[:strings.LastIndex(sound, ".")+1] + b64("s"), unsigned},
		{"another payload", strings.Replace(sound, b64(c), b64(strings.Replace(c, "id-1", "id-2", 1)), 1), unsigned},
		{"claims a list", signES256(t, h, `[]`), badClaims},
		{"claims not JSON", signES256(t, h, `claims`), badClaims},
		// hashicorp/cap#191: duplicate names.
		{"a claim twice", signES256(t, h, strings.Replace(c, `{`, `{"jti":"other",`, 1)), badClaims},
		{"typ twice", signES256(t, strings.Replace(h, `{`, `{"typ":"JWT",`, 1), c), noForm},
		{"kty twice", signES256(t, strings.Replace(h, `"kty"`, `"kty":"oct","kty"`, 1), c), noForm},
		{"claims by another case", signES256(t, h, strings.ToUpper(c)), badID},
		// An error in the last member, when the key is complete.
		{"use for signing only at the end", signES256(t, strings.Replace(h, `"}`, `","key_ops":["sign"]}`, 1), c), badKey},
	} {
		t.Run(tt.name, func(t *testing.T) { refused(t, v, tt.raw, tt.want) })
	}
}

// The key of a sound proof must be the key of the token.
func TestPrecheckComparesTheKey(t *testing.T) {
	v := dpop.NewVerifier(dpop.Config{})
	request := dpop.Request{Method: "POST", URIs: uris, AccessToken: accessToken}
	own := thumbprintByJose(t, keys()["P-256"].Public())
	for thumbprint, want := range map[string]error{
		own:                  nil,
		own[:len(own)-1]:     dpop.ErrOtherKey,
		strings.ToLower(own): dpop.ErrOtherKey,
		hash("another key"):  dpop.ErrOtherKey,
		"":                   dpop.ErrOtherKey,
	} {
		request.Thumbprint = thumbprint
		if _, err := v.Precheck(now, proof(t, nil), request); err != want {
			t.Errorf("key %q: %v, want %v", thumbprint, err, want)
		}
	}
}

// A missing or empty URI matches nothing.
func TestVerifyWithoutURI(t *testing.T) {
	v := dpop.NewVerifier(dpop.Config{})
	for _, uris := range [][]string{nil, {""}} {
		for _, htu := range []string{uri, "", "no URI"} {
			if p, err := v.Verify(now, proof(t, setClaim("htu", htu)), uris, accessToken); !errors.Is(err, dpop.ErrProof) {
				t.Errorf("uris %q, htu %q: %v, %v", uris, htu, p, err)
			}
		}
	}
}

func TestConfig(t *testing.T) {
	config := dpop.Config{Algorithms: []string{"ES256"}, MaxAge: time.Minute, MaxAhead: time.Second}
	v := dpop.NewVerifier(config)
	config.Algorithms[0] = "none"
	for offset, want := range map[time.Duration]bool{
		-61 * time.Second: false, -60 * time.Second: true, 0: true, time.Second: true, 2 * time.Second: false,
	} {
		p, err := v.Verify(now.Add(-offset), proof(t, nil), uris, accessToken)
		if (err == nil) != want {
			t.Errorf("iat at now%+v: %v", offset, err)
		}
		if err == nil && !p.Expiry.Equal(now.Add(time.Minute)) {
			t.Errorf("expiry %v", p.Expiry)
		}
	}
}

// CVE-2026-33322 and similar: Algorithms may list any name; there is no symmetric
// algorithm to verify with.
func TestVerifyKnowsNoSymmetricAlgorithm(t *testing.T) {
	for _, alg := range []string{"none", "HS256"} {
		v := dpop.NewVerifier(dpop.Config{Algorithms: []string{alg}})
		refused(t, v, proof(t, setHeader("alg", alg)), badKey)
	}
}

// signByJose returns a proof signed by another implementation, with its own jwk. It
// signs Ed25519 itself, which go-jose knows only as EdDSA.
func signByJose(t testing.TB, alg string, key crypto.Signer) string {
	t.Helper()
	if alg == "Ed25519" {
		h := header(t)
		h["alg"], h["jwk"] = alg, publicJWK(t, key.Public())
		input := b64(encode(t, h)) + "." + b64(encode(t, claims()))
		signature, err := key.Sign(rand.Reader, []byte(input), crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		return input + "." + b64(string(signature))
	}
	options := (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt")
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign([]byte(encode(t, claims())))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

var fits = map[string]string{
	"RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
	"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519",
}

func TestVerifyAlgorithms(t *testing.T) {
	all := dpop.NewVerifier(dpop.Config{Algorithms: jws.Algorithms()})
	for _, alg := range jws.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			key := keys()[fits[alg]]
			raw := signByJose(t, alg, key)
			got, err := all.Verify(now, raw, uris, accessToken)
			if err != nil {
				t.Fatal(err)
			}
			if want := thumbprintByJose(t, key.Public()); got.Thumbprint != want {
				t.Errorf("thumbprint %s, want %s", got.Thumbprint, want)
			}
			if alg != "ES256" {
				refused(t, dpop.NewVerifier(dpop.Config{}), raw, badAlg)
			}
		})
	}
}

func rsaOf(bits int) (n *big.Int) {
	n = new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return n.SetBit(n, 0, 1)
}

func TestVerifyRefusesKeys(t *testing.T) {
	v := dpop.NewVerifier(dpop.Config{Algorithms: jws.Algorithms()})
	n := func(bits int) string { return b64(string(rsaOf(bits).Bytes())) }
	rsaKey := func(n, e string) map[string]any { return map[string]any{"kty": "RSA", "n": n, "e": e} }
	okp := func(crv string, size int) map[string]any {
		return map[string]any{"kty": "OKP", "crv": crv, "x": b64(strings.Repeat("x", size))}
	}
	for _, tt := range []struct {
		name, alg string
		jwk       map[string]any
		want      string
	}{
		// These are well-formed: only the signature is wrong.
		{"RSA of 2048 bits", "RS256", rsaKey(n(2048), "AQAB"), unsigned},
		{"RSA of 4096 bits", "RS256", rsaKey(n(4096), "AQAB"), unsigned},
		{"RSA with the least e", "RS256", rsaKey(n(2048), "Aw"), unsigned},
		{"RSA with the greatest e", "RS256", rsaKey(n(2048), "f____w"), unsigned},
		{"RSA with e of 31 bits", "RS256", rsaKey(n(2048), "QAAAAQ"), unsigned},
		{"RSA of 2047 bits", "RS256", rsaKey(n(2047), "AQAB"), badKey},
		{"RSA of 1024 bits", "RS256", rsaKey(n(1024), "AQAB"), badKey},
		{"RSA of 4097 bits", "RS256", rsaKey(n(4097), "AQAB"), badKey},
		{"RSA of 8192 bits", "RS256", rsaKey(n(8192), "AQAB"), badKey},
		{"RSA with a leading zero in n", "RS256", rsaKey(b64("\x00"+string(rsaOf(2048).Bytes())), "AQAB"), badKey},
		{"RSA with a leading zero in e", "RS256", rsaKey(n(2048), "AAEAAQ"), badKey},
		{"RSA with e 1", "RS256", rsaKey(n(2048), "AQ"), badKey},
		{"RSA with e even", "RS256", rsaKey(n(2048), "AQAA"), badKey},
		{"RSA with e of 32 bits", "RS256", rsaKey(n(2048), "_____w"), badKey},
		{"RSA with e of 40 bits", "RS256", rsaKey(n(2048), "______8"), badKey},
		{"RSA without n", "RS256", rsaKey("", "AQAB"), badKey},
		{"RSA without e", "RS256", rsaKey(n(2048), ""), badKey},
		{"RSA with n not base64url", "RS256", rsaKey("+/", "AQAB"), badKey},
		{"RSA for EdDSA", "EdDSA", rsaKey(n(2048), "AQAB"), badKey},
		{"OKP", "EdDSA", okp("Ed25519", 32), unsigned},
		{"OKP too short", "EdDSA", okp("Ed25519", 31), badKey},
		{"OKP Ed448", "EdDSA", okp("Ed448", 57), badKey},
		{"OKP X25519", "EdDSA", okp("X25519", 32), badKey},
		{"OKP for RSA", "RS256", okp("Ed25519", 32), badKey},
		{"P-256 for ES384", "ES384", publicJWK(t, keys()["P-256"].Public()), badKey},
		{"P-384 for ES256", "ES256", publicJWK(t, keys()["P-384"].Public()), badKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refused(t, v, proof(t, func(h, _ map[string]any) { h["alg"], h["jwk"] = tt.alg, tt.jwk }), tt.want)
		})
	}
}

// Errors are sent to the client.
func TestErrorsQuoteNothing(t *testing.T) {
	v := dpop.NewVerifier(dpop.Config{})
	for _, tt := range refusals {
		raw := proof(t, tt.edit)
		_, err := v.Verify(now, raw, uris, accessToken)
		secrets := []string{"id-1", "api.example.com", accessToken, hash(accessToken), fmt.Sprint(now.Unix())}
		for part := range strings.SplitSeq(raw, ".") {
			if len(part) > 4 {
				secrets = append(secrets, part)
			}
		}
		for _, secret := range secrets {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %q quotes %q", tt.name, err, secret)
			}
		}
	}
}

// FuzzProof checks invariants for any text: no panic, and an accepted proof is signed,
// according to go-jose, by the public key whose thumbprint is returned.
func FuzzProof(f *testing.F) {
	for _, tt := range refusals {
		f.Add(proof(f, tt.edit))
	}
	f.Add(proof(f, nil))
	known := slices.DeleteFunc(jws.Algorithms(), func(alg string) bool { return alg == "Ed25519" }) // to go-jose
	for _, alg := range known {
		f.Add(signByJose(f, alg, keys()[fits[alg]]))
	}
	v := dpop.NewVerifier(dpop.Config{Algorithms: known})
	var algorithms []jose.SignatureAlgorithm
	for _, alg := range known {
		algorithms = append(algorithms, jose.SignatureAlgorithm(alg))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := v.Verify(now, raw, uris, accessToken)
		if err != nil {
			if p != nil || !errors.Is(err, dpop.ErrProof) {
				t.Fatalf("Verify = %v, %v", p, err)
			}
			return
		}
		signed, err := jose.ParseSignedCompact(raw, algorithms)
		if err != nil {
			t.Fatalf("accepted what go-jose cannot read: %v", err)
		}
		key := signed.Signatures[0].Protected.JSONWebKey
		if _, err := signed.Verify(key); err != nil || !key.IsPublic() {
			t.Fatalf("accepted what go-jose does not verify: %v", err)
		}
		if want := thumbprintByJose(t, key.Key); p.Thumbprint != want || p.ID == "" {
			t.Fatalf("proof %+v, want thumbprint %s", p, want)
		}
	})
}

// The cost of a proof next to the one signature check that it requires.
func BenchmarkVerify(b *testing.B) {
	v := dpop.NewVerifier(dpop.Config{})
	token := strings.Repeat("t", 1100) // as long as Auth0's
	raw := proof(b, func(_, c map[string]any) { c["ath"] = hash(token) })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(now, raw, uris, token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBareES256(b *testing.B) {
	key := keys()["P-256"].(*ecdsa.PrivateKey)
	message := []byte(proof(b, nil))
	digest := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		digest := sha256.Sum256(message)
		if !ecdsa.Verify(&key.PublicKey, digest[:], r, s) {
			b.Fatal("does not verify")
		}
	}
}

// A hostile proof must cost no elliptic curve.
func BenchmarkVerifyRefused(b *testing.B) {
	v := dpop.NewVerifier(dpop.Config{})
	for name, raw := range map[string]string{
		"claims": proof(b, setClaim("ath", "x")),
		"dots":   strings.Repeat(".", 8<<10),
		"names":  signES256(b, `{"alg":"ES256","typ":"dpop+jwt"}`, `{`+strings.Repeat(`"":0,`, 1000)+`"":0}`),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(now, raw, uris, accessToken); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

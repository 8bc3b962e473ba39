package jws_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/internal/jws"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

var malformed = []struct {
	name, raw string
	err       error
}{
	{"empty", "", jws.ErrMalformed},
	{"opaque", "tGzv3JOkF0XG5Qx2TlKWIA", jws.ErrMalformed},
	{"two parts", b64(`{"alg":"RS256"}`) + ".e30", jws.ErrMalformed},
	{"four parts", b64(`{"alg":"RS256"}`) + ".e30.AA.AA", jws.ErrMalformed},
	{"five parts, a JWE", b64(`{"alg":"RSA-OAEP-256","enc":"A256GCM"}`) + ".AA.AA.AA.AA", jws.ErrMalformed},
	// CVE-2025-30204, CVE-2025-27144: many dots.
	{"a million dots", strings.Repeat(".", 1<<20), jws.ErrMalformed},
	// CVE-2024-5037: the JSON serialization has no place here.
	{"JSON serialization", `{"payload":"e30","protected":"e30","signature":"AA"}`, jws.ErrMalformed},
	{"empty header", ".e30.AA", jws.ErrMalformed},
	{"empty payload", b64(`{"alg":"RS256"}`) + "..AA", jws.ErrMalformed},
	{"empty signature", b64(`{"alg":"none"}`) + ".e30.", jws.ErrMalformed},
	{"padding", b64(`{"alg":"RS256"}`) + ".e30=.AA", jws.ErrMalformed},
	{"standard alphabet", b64(`{"alg":"RS256"}`) + ".e30.A+/A", jws.ErrMalformed},
	{"stray bits in the signature", b64(`{"alg":"RS256"}`) + ".e30.AB", jws.ErrMalformed},
	{"stray bits in the payload", b64(`{"alg":"RS256"}`) + ".e31.AA", jws.ErrMalformed},
	{"line feed", b64(`{"alg":"RS256"}`) + ".e3\n0.AA", jws.ErrMalformed},
	{"line feed at the start", "\n" + b64(`{"alg":"RS256"}`) + ".e30.AA", jws.ErrMalformed},
	{"line feed at the start of the payload", b64(`{"alg":"RS256"}`) + ".\ne30.AA", jws.ErrMalformed},
	{"carriage return at the start", "\r" + b64(`{"alg":"RS256"}`) + ".e30.AA", jws.ErrMalformed},
	{"carriage return at the start of the signature", b64(`{"alg":"RS256"}`) + ".e30.\rAA", jws.ErrMalformed},
	{"carriage return", b64(`{"alg":"RS256"}`) + ".e30.A\rA", jws.ErrMalformed},
	{"space", b64(`{"alg":"RS256"}`) + ".e30 .AA", jws.ErrMalformed},
	{"header not JSON", b64(`alg`) + ".e30.AA", jws.ErrMalformed},
	{"header an array", b64(`["alg"]`) + ".e30.AA", jws.ErrMalformed},
	{"no alg", b64(`{"typ":"JWT"}`) + ".e30.AA", jws.ErrMalformed},
	{"alg by another case", b64(`{"ALG":"RS256"}`) + ".e30.AA", jws.ErrMalformed},
	{"alg twice", b64(`{"alg":"RS256","alg":"none"}`) + ".e30.AA", jws.ErrMalformed},
	{"alg a number", b64(`{"alg":256}`) + ".e30.AA", jws.ErrMalformed},
	{"kid a number", b64(`{"alg":"RS256","kid":1}`) + ".e30.AA", jws.ErrMalformed},
	{"empty typ", b64(`{"alg":"RS256","typ":""}`) + ".e30.AA", jws.ErrMalformed},
	{"empty alg", b64(`{"alg":""}`) + ".e30.AA", jws.ErrMalformed},
	{"typ null", b64(`{"alg":"RS256","typ":null}`) + ".e30.AA", jws.ErrMalformed},
	{"crit", b64(`{"alg":"RS256","crit":["exp"],"exp":1}`) + ".e30.AA", jws.ErrExtension},
	{"empty crit", b64(`{"alg":"RS256","crit":[]}`) + ".e30.AA", jws.ErrExtension},
	{"b64", b64(`{"alg":"RS256","b64":false}`) + ".e30.AA", jws.ErrExtension},
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range malformed {
		t.Run(tt.name, func(t *testing.T) {
			if token, err := jws.Parse(tt.raw); !errors.Is(err, tt.err) || token != nil {
				t.Errorf("Parse = %v, %v; want %v", token, err, tt.err)
			}
		})
	}
}

// A token of dots costs no memory: it is refused before it is split.
func TestDotsCostNoMemory(t *testing.T) {
	dots := strings.Repeat(".", 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := jws.Parse(dots)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; err == nil || used > 1<<20 {
		t.Errorf("%d bytes, %v, want less than a byte for each dot", used, err)
	}
}

// HasOthers tells whether a header has members beside alg, kid and typ.
func TestHeaderHasOthers(t *testing.T) {
	for header, want := range map[string]bool{
		`{"alg":"RS256"}`: false, `{"typ":"JWT","alg":"RS256","kid":"k"}`: false, `{"\u0061lg":"RS256"}`: false,
		`{"alg":"RS256","jwk":{}}`: true, `{"alg":"RS256","x5t":"x"}`: true, `{"alg":"RS256","ALG":"x"}`: true, `{"alg":"RS256","":0}`: true,
	} {
		got, err := jws.ParseHeader(b64(header))
		if err != nil || got.HasOthers != want {
			t.Errorf("%s: %t, %v; want %t", header, got.HasOthers, err, want)
		}
	}
}

func TestParse(t *testing.T) {
	header := b64(`{"typ":"at+jwt","alg":"ES256","kid":"k\u0031","jwk":{"kty":"EC"},"x5u":"https://evil.example"}`)
	token, err := jws.Parse(header + "." + b64(`{"sub":"x"}`) + ".AAE")
	if err != nil {
		t.Fatal(err)
	}
	want := jws.Header{Algorithm: "ES256", KeyID: "k1", Type: "at+jwt", JWK: `{"kty":"EC"}`, HasOthers: true}
	if diff := cmp.Diff(want, token.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if token.Payload != `{"sub":"x"}` || string(token.Signature) != "\x00\x01" {
		t.Errorf("payload %q, signature %x", token.Payload, token.Signature)
	}
}

var keys = sync.OnceValue(func() map[string]crypto.Signer {
	all := map[string]crypto.Signer{}
	all["RSA"], _ = rsa.GenerateKey(rand.Reader, 2048)
	all["RSA2"], _ = rsa.GenerateKey(rand.Reader, 2048)
	all["P-256"], _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	all["P-384"], _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	all["P-521"], _ = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, all["Ed25519"], _ = ed25519.GenerateKey(rand.Reader)
	return all
})

func sign(t testing.TB, alg string, key crypto.Signer) string {
	t.Helper()
	if alg == "Ed25519" { // go-jose knows EdDSA alone
		input := b64(`{"alg":"Ed25519"}`) + "." + b64(`{"sub":"x"}`)
		signature, err := key.Sign(rand.Reader, []byte(input), crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		return input + "." + b64(string(signature))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(`{"sub":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Every algorithm verifies a signature by go-jose with the right key and with no other
// key, and notices a flipped bit in every part.
func TestVerify(t *testing.T) {
	fits := map[string]string{
		"RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
		"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519",
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(fits)), jws.Algorithms()); diff != "" {
		t.Fatalf("Algorithms (-want +got):\n%s", diff)
	}
	for _, alg := range jws.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			token, err := jws.Parse(sign(t, alg, keys()[fits[alg]]))
			if err != nil {
				t.Fatal(err)
			}
			for name, key := range keys() {
				err := token.Verify(key.Public())
				if want := name == fits[alg]; (err == nil) != want {
					t.Errorf("with the %s key: %v", name, err)
				}
				if name != "RSA2" && jws.KeyFits(alg, key.Public()) != (name == fits[alg]) {
					t.Errorf("KeyFits(%s, %s) = %t", alg, name, name != fits[alg])
				}
			}
			token.Signature[len(token.Signature)-1] ^= 1
			if err := token.Verify(keys()[fits[alg]].Public()); !errors.Is(err, jws.ErrSignature) {
				t.Errorf("flipped signature: %v", err)
			}
			token.Signature = token.Signature[1:]
			if err := token.Verify(keys()[fits[alg]].Public()); !errors.Is(err, jws.ErrSignature) {
				t.Errorf("short signature: %v", err)
			}
		})
	}
}

// A salt of another length is not PS256, PS384 or PS512 (RFC 7518, section 3.5),
// although RSASSA-PSS itself permits any.
func TestVerifySaltLength(t *testing.T) {
	key := keys()["RSA"].(*rsa.PrivateKey)
	for alg, hash := range map[string]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512} {
		for _, length := range []int{1, 20, hash.Size() - 1, hash.Size(), hash.Size() + 1} {
			input := b64(`{"alg":"`+alg+`"}`) + ".e30"
			h := hash.New()
			h.Write([]byte(input))
			signature, err := rsa.SignPSS(rand.Reader, key, hash, h.Sum(nil), &rsa.PSSOptions{SaltLength: length})
			if err != nil {
				t.Fatal(err)
			}
			token, err := jws.Parse(input + "." + b64(string(signature)))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := token.Verify(key.Public()), length == hash.Size(); (got == nil) != want {
				t.Errorf("%s with a salt of %d octets: %v", alg, length, got)
			}
		}
	}
}

// An ES signature is R and S, each as wide as the field (RFC 7518, section 3.4):
// one signature has one spelling.
func TestVerifyWidth(t *testing.T) {
	for alg, curve := range map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"} {
		token, err := jws.Parse(sign(t, alg, keys()[curve]))
		if err != nil {
			t.Fatal(err)
		}
		good, public := token.Signature, keys()[curve].Public()
		for name, signature := range map[string][]byte{
			"none":                   {},
			"one octet":              {1},
			"R alone":                good[:len(good)/2],
			"a zero in front of R":   slices.Insert(slices.Clone(good), 0, 0),
			"a zero in front of S":   slices.Insert(slices.Clone(good), len(good)/2, 0),
			"zeros in front of both": slices.Concat([]byte{0}, good[:len(good)/2], []byte{0}, good[len(good)/2:]),
			"a zero behind S":        append(slices.Clone(good), 0),
		} {
			token.Signature = signature
			if err := token.Verify(public); !errors.Is(err, jws.ErrSignature) {
				t.Errorf("%s, %s: %v", alg, name, err)
			}
		}
		token.Signature = good
		if err := token.Verify(public); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestVerifyCoversHeaderAndPayload(t *testing.T) {
	key := keys()["RSA"]
	raw := sign(t, "RS256", key)
	header, _, signature, _ := jws.Split(raw)
	for name, forged := range map[string]string{
		"payload": header + "." + b64(`{"sub":"y"}`) + "." + signature,
		"header":  b64(`{"alg":"RS256","kid":"other"}`) + raw[len(header):],
	} {
		token, err := jws.Parse(forged)
		if err != nil {
			t.Fatal(err)
		}
		if err := token.Verify(key.Public()); !errors.Is(err, jws.ErrSignature) {
			t.Errorf("%s changed: %v", name, err)
		}
	}
}

// CVE-2026-33322 and similar: a name that is no asymmetric algorithm verifies with
// nothing.
func TestVerifyKnowsNoSymmetricAlgorithm(t *testing.T) {
	for _, alg := range []string{"none", "None", "HS256", "HS512", "rs256", "ES256K", ""} {
		token := &jws.Token{Header: jws.Header{Algorithm: alg}}
		for name, key := range keys() {
			if token.Verify(key.Public()) == nil || jws.KeyFits(alg, key.Public()) {
				t.Errorf("alg %q verifies with the %s key", alg, name)
			}
		}
		if token.Verify([]byte("secret")) == nil {
			t.Errorf("alg %q verifies with a secret", alg)
		}
	}
}

// FuzzParse checks invariants for any input: no panic; an accepted token is the one
// spelling of its parts, names an algorithm, and verifies with no key that did not sign
// it.
func FuzzParse(f *testing.F) {
	for _, tt := range malformed {
		if len(tt.raw) < 1<<10 {
			f.Add(tt.raw)
		}
	}
	f.Add(sign(f, "RS256", keys()["RSA"]))
	f.Add(sign(f, "EdDSA", keys()["Ed25519"]))
	f.Fuzz(func(t *testing.T, raw string) {
		token, err := jws.Parse(raw)
		if err != nil {
			return
		}
		_, payload, signature, _ := jws.Split(raw)
		if b64(token.Payload) != payload || b64(string(token.Signature)) != signature {
			t.Fatalf("accepted a second spelling: %q", raw)
		}
		if token.Header.Algorithm == "" || token.Verify(keys()["RSA2"].Public()) == nil {
			t.Fatalf("verified %q with a key that signed nothing", raw)
		}
	})
}

// The default algorithm of a key is one that the key fits, with the sizes of RFC 7518,
// section 3.4.
func TestForKey(t *testing.T) {
	curve := func(c elliptic.Curve) crypto.PublicKey { return &ecdsa.PublicKey{Curve: c} }
	for _, test := range []struct {
		public crypto.PublicKey
		alg    string
		hash   crypto.Hash
		size   int
	}{
		{&rsa.PublicKey{}, "RS256", crypto.SHA256, 0},
		{curve(elliptic.P256()), "ES256", crypto.SHA256, 32},
		{curve(elliptic.P384()), "ES384", crypto.SHA384, 48},
		{curve(elliptic.P521()), "ES512", crypto.SHA512, 66},
		{ed25519.PublicKey{}, "EdDSA", 0, 0},
		{curve(elliptic.P224()), "", 0, 0},
		{"no key", "", 0, 0},
	} {
		if alg, hash, size := jws.ForKey(test.public); alg != test.alg || hash != test.hash || size != test.size {
			t.Errorf("%T: %q, %v, %d, want %q, %v, %d", test.public, alg, hash, size, test.alg, test.hash, test.size)
		}
	}
}

package corpus

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

func (m *Mint) signatures() {
	good := m.Token(nil)
	signed, signature := good[:strings.LastIndexByte(good, '.')+1], good[strings.LastIndexByte(good, '.')+1:]
	other := strings.Split(m.Token(map[string]any{"sub": "auth0|other"}), ".")
	flipped, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		panic(err)
	}
	flipped[10] ^= 1
	m.add(false, "a signature with one bit flipped", signed+base64.RawURLEncoding.EncodeToString(flipped))
	m.add(false, "a signature cut short", signed+signature[:300])
	m.add(false, "a signature of another token", other[0]+"."+other[1]+"."+signature)
	m.add(false, "an empty signature", signed)
	m.add(false, "a signature of zeros", signed+strings.Repeat("A", len(signature)))
	m.add(false, "a signature by another tenant under our key id", m.other.Sign(map[string]any{"kid": m.kid()}, m.base(nil)))
	m.add(false, "a token of a revoked key", m.revoked)
}

// kid is the id of the key that signs.
func (m *Mint) kid() string {
	var header struct{ Kid string }
	if err := json.Unmarshal([]byte(m.goodHeader("")), &header); err != nil {
		panic(err)
	}
	return header.Kid
}

func (m *Mint) algorithms() {
	m.header(false, "alg", nil, null, "", 5, "none", "None", "NONE", "nOnE", "HS256", "HS384", "HS512", "RS384", "RS512",
		"PS256", "PS384", "PS512", "ES256", "EdDSA", "rs256", "RS256 ", "XX256", []string{"RS256"})
}

func (m *Mint) keyIDs() {
	m.header(false, "kid", nil, null, "", 5, "unknown", "../../dev/null", "' OR 1=1 --", strings.Repeat("k", 5000))
	// The library ignores a token's own statements about the location of its key.
	m.header(true, "jku", "https://attacker.example.com/jwks.json")
	m.header(true, "x5u", "https://attacker.example.com/cert.pem")
	attacker := auth0grpctest.NewCertificateAuthority().Client("attacker").Leaf
	m.add(true, "header jwk is an attacker's", m.Sign(map[string]any{"jwk": auth0grpctest.NewDPoPKey().JWK()}, m.base(nil)))
	m.add(true, "header x5c is an attacker's", m.Sign(map[string]any{"x5c": [][]byte{attacker.Raw}}, m.base(nil)))
	m.header(false, "x5c", []string{"AAAA"})
	m.header(false, "jwk", map[string]any{"kty": "oct", "k": "AAAA"})
	m.header(true, "cty", "JWT")
	m.header(false, "crit", []string{"exp"}, []string{}, []string{"https://example.com/ext"})
	m.header(false, "b64", false, true)
	m.header(true, "zip", "DEF")
}

func (m *Mint) subjects() {
	m.claims(false, "sub", nil, null, "", 5, []string{"a"}, map[string]any{"a": 1})
	m.claims(true, "sub", "a b", "Ünïcødé", "google-oauth2|1")
}

func (m *Mint) structures() {
	good := m.Token(nil)
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	m.add(false, "two parts", parts[0]+"."+parts[1])
	m.add(false, "four parts", good+".AAAA")
	m.add(false, "five parts, as a JWE has", strings.Join(append(parts, "AAAA", "AAAA"), "."))
	m.add(false, "a thousand dots", strings.Repeat(".", 1000))
	m.add(false, "an opaque token", "hFkLz9pQ")
	m.add(false, "an empty header", "."+parts[1]+"."+parts[2])
	m.add(false, "an empty payload", parts[0]+".."+parts[2])
	m.add(false, "padding", good+"==")
	m.add(false, "a signature in another alphabet", parts[0]+"."+parts[1]+"."+strings.NewReplacer("-", "+", "_", "/").Replace(parts[2]))
	m.add(false, "stray bits in the signature", strayBits(good))
	m.add(false, "a space within", parts[0]+". "+parts[1]+"."+parts[2])
	m.add(false, "a header that is no JSON", encode([]byte("alg"))+"."+parts[1]+"."+parts[2])
	m.add(false, "a header that is an array", encode([]byte(`["RS256"]`))+"."+parts[1]+"."+parts[2])
	m.add(false, "a token of 20 KiB", m.Token(map[string]any{"https://example.com/roles": strings.Repeat("x", 20<<10)}))
	m.add(false, "the JSON serialization", `{"payload":"`+parts[1]+`","protected":"`+parts[0]+`","signature":"`+parts[2]+`"}`)
	m.add(false, "alg twice", m.SignRaw(m.goodHeader(`,"alg":"RS256"`), m.payload("")))
	m.add(false, "alg twice, the first none", m.SignRaw(`{"alg":"none",`+m.goodHeader("")[1:], m.payload("")))
	m.add(false, "kid twice", m.SignRaw(m.goodHeader(`,"kid":"`+m.kid()+`"`), m.payload("")))
	m.add(true, "a member of the header in another case", m.SignRaw(m.goodHeader(`,"ALG":"none"`), m.payload("")))
}

// strayBits changes the last character of a signature in bits that encode
// nothing: 256 bytes leave four of them.
func strayBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last|1])
}

func (m *Mint) payloads() {
	raw := func(payload string) string { return m.SignRaw(m.goodHeader(""), payload) }
	for _, payload := range []string{"", "null", "5", `"text"`, "[]", "{}", "not JSON"} {
		m.add(false, "the payload "+show(payload), raw(payload))
	}
	m.add(false, "a payload with text after it", raw(m.payload("")+"{}"))
	m.add(false, "a payload with a trailing comma", raw(m.payload(",")))
	m.add(false, "a payload with a byte order mark", raw("\ufeff"+m.payload("")))
	m.add(false, "a payload that is not UTF-8", raw(m.payload(",\"name\":\"\xff\"")))
	m.add(false, "a payload with NaN", raw(m.payload(`,"n":NaN`)))
	m.add(true, "a payload with spaces", raw(" "+m.payload(` , "n" : 1 `)+"\n"))
	m.add(true, "an escaped character", raw(m.payload(`,"n":"\u0041"`)))
	m.add(false, "arrays 5,000 deep", raw(m.payload(`,"n":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000))))
	for _, member := range []string{`"aud":"https://api.example.com"`, `"sub":"admin"`, `"iss":"https://attacker.example.com/"`, `"exp":9999999999`, `"azp":"x"`} {
		m.add(false, "a second claim "+member, raw(m.payload(","+member)))
	}
	m.add(false, "scope twice", raw(m.payload(`,"scope":"read:msg","scope":"admin"`)))
	m.add(false, "a foreign claim twice", raw(m.payload(`,"x":1,"x":2`)))
	for _, almost := range []string{`"AUD":"https://other.example.com"`, `"Sub":"admin"`, `"ISS":"https://attacker.example.com/"`, `"Exp":9999999999`, `"Scope":"admin"`} {
		m.add(false, "an almost-claim "+almost, raw(m.payload(","+almost)))
	}
	m.claims(false, "scope", 5, []string{"read:msg"}, map[string]any{"read": true})
	m.claims(false, "permissions", "read:msg", []any{5})
	m.claims(false, "org_id", 5)
}

func (m *Mint) bindings() {
	m.add(false, "bound by DPoP", m.BoundToken(nil, auth0grpctest.NewDPoPKey()))
	m.add(false, "bound to a certificate", m.CertificateBoundToken(nil, auth0grpctest.NewCertificateAuthority().Client("c").Leaf))
	m.claims(false, "cnf", map[string]any{}, map[string]any{"kid": "k"}, map[string]any{"jkt": 5}, "text", null)
}

func (m *Mint) clients() {
	m.claims(false, "azp", 5, []string{"a"})
	m.claims(false, "client_id", 5, "another client")
	m.claims(false, "jti", 5)
}

// authorizations differ in how the token is presented.
func (m *Mint) authorizations() {
	good := m.Token(nil)
	for value, accepted := range map[string]bool{
		"bearer TOKEN": true, "BEARER TOKEN": true, "Bearer  TOKEN": false, "BearerTOKEN": false, "TOKEN": false, "Token TOKEN": false,
		"Basic TOKEN": false, "DPoP TOKEN": false, "Bearer TOKEN,TOKEN": false, "Bearer TOKEN TOKEN": false,
		"Bearer token=TOKEN": false, "Bearer \"TOKEN\"": false, "Bearer": false, "Bearer null": false, "Bearer Bearer TOKEN": false,
	} {
		m.cases = append(m.cases, Case{
			Name: "presented as " + show(value), Value: strings.ReplaceAll(value, "TOKEN", good), Good: accepted,
		})
	}
}

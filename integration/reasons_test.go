package integration

// A reason explains why this library's verdict on some cases is right although
// other verifiers differ.
type reason struct {
	title, why string
	cases      []string
}

var reasons = []reason{
	{
		"Claims that every access token has",
		`Auth0 puts iss, sub, aud, exp and iat into every access token, and RFC 9068, section 2.2, requires them. A token without
exp would never expire. A token without a subject would have the empty identity, which some handlers trust (CVE-2026-23990).`,
		[]string{
			"exp is missing", "iat is missing", "sub is missing", "sub is null", `sub is ""`,
		},
	},
	{
		"Claims of the wrong type",
		`A claim that the verdict depends on has one type (RFC 7519, section 4.1; RFC 8693, section 4.2, for scope). An implementation
that guesses the meaning of another type skips checks: a number in aud once became "any audience" (CVE-2020-26160), a scope in
an array matches by other rules than a string, and an exp of 1e300 means a token that never expires. Auth0 issues none of them.`,
		[]string{
			"exp as a string", "iat as a string", "exp is 1e+300", "iat is 1e+300",
			`aud is [5,"https://api.example.com"]`, `aud is [null,"https://api.example.com"]`,
			"scope is 5", `scope is ["read:msg"]`, `scope is {"read":true}`,
			`permissions is "read:msg"`, "permissions is [5]", "org_id is 5",
			"azp is 5", `azp is ["a"]`, "client_id is 5",
			"header typ is 5", "header typ is null",
		},
	},
	{
		"Times",
		`The tolerance for differing clocks is an explicit setting, Config.ClockSkew, with the default zero; express-oauth2-jwt-bearer
allows 5 seconds. A token from the future shows that a clock is wrong, so its exp is meaningless too.`,
		[]string{
			"expired a second ago", "issued in an hour", "issued in a minute",
		},
	},
	{
		"Tokens that are not access tokens",
		`Auth0 signs ID tokens, logout tokens and access tokens with one key, and mostly with one typ. RFC 8725, sections 3.11 and
3.12, requires that one kind cannot pass for another. An explicit typ must be the typ of an access token. A nonce, at_hash,
c_hash or events claim, or an audience equal to the client, marks a token of another kind.`,
		[]string{
			`header typ is "dpop+jwt"`, `header typ is "logout+jwt"`, `header typ is "id+jwt"`, `header typ is "secevent+jwt"`,
			`header typ is "JWE"`, `header typ is "JOSE"`,
			"an ID token whose audience is the API", "a logout token whose audience is the API", "the API as client and audience",
			`nonce is "n1"`, `at_hash is "abc"`, `c_hash is "abc"`,
		},
	},
	{
		"Bound tokens without their proof",
		`A token with cnf is accepted only together with a proof of possession (RFC 9449, section 7.2; RFC 8705, section 3). An unknown
member of cnf is ignored beside jkt or x5t#S256 (RFC 7800, section 3.1), and refused alone. A bound token that is presented as a
plain bearer token may be stolen. With Config.DPoP or Config.MTLS it is accepted, with its proof. By default
express-oauth2-jwt-bearer checks only jkt, and go-jwt-middleware's gRPC interceptor checks neither.`,
		[]string{
			"bound by DPoP", "bound to a certificate", "cnf is {}", `cnf is {"kid":"k"}`, `cnf is {"jkt":5}`, `cnf is "text"`, "cnf is null",
		},
	},
	{
		"Two clients in one token",
		`azp (Auth0's own profile) and client_id (RFC 9068) both name the client. If they differ, a rule on the client would
depend on which of them is read.`,
		[]string{`client_id is "another client"`},
	},
	{
		"JSON that two parsers read differently",
		`If a name occurs twice, in another case, or in bytes that are not UTF-8, a component that logs, routes or caches may read
other claims than the component that decides. encoding/json reads AUD as aud (hashicorp/cap#191), and parsers differ in which
of two equal names wins (RFC 8259, section 4; RFC 7515, section 4, and RFC 7519, section 4, allow refusal).`,
		[]string{
			"alg twice", "alg twice, the first none", "kid twice",
			`a second claim "aud":"https://api.example.com"`, `a second claim "sub":"admin"`, `a second claim "exp":9999999999`,
			`a second claim "azp":"x"`, "scope twice", "a foreign claim twice",
			`an almost-claim "AUD":"https://other.example.com"`, `an almost-claim "Sub":"admin"`,
			`an almost-claim "ISS":"https://attacker.example.com/"`, `an almost-claim "Exp":9999999999`, `an almost-claim "Scope":"admin"`,
			"a payload with a byte order mark", "a payload that is not UTF-8",
		},
	},
	{
		"Two spellings of one token",
		`base64url without padding has exactly one spelling of given bytes (RFC 7515, section 2; RFC 4648, section 3.5). A verifier that
accepts others gives one token many spellings, which defeats caches, deny-lists and logs that identify a token by its text.`,
		[]string{"padding", "a signature in another alphabet", "stray bits in the signature"},
	},
	{
		"Unknown extensions",
		`RFC 7515, section 4.1.11, demands refusal of a crit that is empty, lists an unknown extension or lists a name that is not an
extension. RFC 7797, section 6, demands crit for b64. Auth0 uses neither.`,
		[]string{
			`header crit is ["exp"]`, "header crit is []", `header crit is ["https://example.com/ext"]`, "header b64 is false", "header b64 is true",
		},
	},
	{
		"Broken keys in the header",
		`A key that a token contains proves nothing and is ignored (see "header jwk is an attacker's" among the cases on which
all agree). A key that does not parse makes the header malformed.`,
		[]string{`header x5c is ["AAAA"]`, `header jwk is {"k":"AAAA","kty":"oct"}`},
	},
	{
		"Size and depth",
		`An anonymous caller can make the server parse only a bounded input: 16 KiB of token, and JSON to a depth that no access token has.`,
		[]string{"a token of 20 KiB", "arrays 5,000 deep"},
	},
	{
		"The authorization value",
		`Exactly one space follows the scheme. RFC 6750 would allow several, but no client sends them, and a value that a proxy reads as
well should have one reading.`,
		[]string{`presented as "Bearer  TOKEN"`},
	},
}

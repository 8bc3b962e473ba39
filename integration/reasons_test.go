package integration

// A reason is why this library's verdict on some cases is right where others
// judge differently.
type reason struct {
	title, why string
	cases      []string
}

var reasons = []reason{
	{
		"Claims that every access token has",
		`Auth0 puts iss, sub, aud, exp and iat into every access token, and RFC 9068 (section 2.2) requires them. A token without
exp would be good for ever; one without a subject would be taken for a nobody that some handler trusts (CVE-2026-23990).`,
		[]string{
			"exp is missing", "iat is missing", "sub is missing", "sub is null", `sub is ""`,
		},
	},
	{
		"Claims of the wrong type",
		`A claim that decides something has one type (RFC 7519, section 4.1; RFC 8693, section 4.2 for scope). Guessing what
another type means is how checks get skipped: a number in aud has become "any audience" before (CVE-2020-26160), a scope in
an array matches by other rules than a string, and an exp of 1e300 is a token that never expires. Auth0 issues none of them.`,
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
		`The tolerance for differing clocks is an explicit setting, Config.ClockSkew, and none by default; express-oauth2-jwt-bearer
has 5 seconds. A token from the future says that a clock is wrong, and then its exp means nothing either.`,
		[]string{
			"expired a second ago", "issued in an hour", "issued in a minute",
		},
	},
	{
		"Tokens that are no access tokens",
		`Auth0 signs ID tokens, logout tokens and access tokens with one key, and mostly with one typ. RFC 8725 (sections 3.11 and
3.12) asks that one kind cannot pass for another: an explicit typ must be that of an access token, and a nonce, at_hash,
c_hash, events or an audience that is the client itself are the marks of something else.`,
		[]string{
			`header typ is "dpop+jwt"`, `header typ is "logout+jwt"`, `header typ is "id+jwt"`, `header typ is "secevent+jwt"`,
			`header typ is "JWE"`, `header typ is "JOSE"`,
			"an ID token whose audience is the API", "a logout token whose audience is the API", "the API as client and audience",
			`nonce is "n1"`, `at_hash is "abc"`, `c_hash is "abc"`,
		},
	},
	{
		"Bound tokens without their proof",
		`A token with cnf is good only together with a proof of possession (RFC 9449, section 7.2; RFC 8705, section 3; RFC 7800,
section 3.1 for what is not understood). Presented as a plain bearer token it may be a stolen one. With Config.DPoP or
Config.MTLS it is accepted, with its proof. By default express-oauth2-jwt-bearer looks at jkt alone, and go-jwt-middleware's
gRPC interceptor at neither.`,
		[]string{
			"bound by DPoP", "bound to a certificate", "cnf is {}", `cnf is {"kid":"k"}`, `cnf is {"jkt":5}`, `cnf is "text"`, "cnf is null",
		},
	},
	{
		"Two clients in one token",
		`azp (Auth0's own profile) and client_id (RFC 9068) name the same thing. Where they differ, a rule on the client would
depend on which of them is read.`,
		[]string{`client_id is "another client"`},
	},
	{
		"JSON that two parsers read differently",
		`With a name twice, in another case, or in bytes that are not UTF-8, the component that logs, routes or caches may see
another token than the one that decides: encoding/json takes AUD for aud (hashicorp/cap#191), and parsers differ in which
of two equal names wins (RFC 8259, section 4; RFC 7515, section 4 and RFC 7519, section 4 allow refusal).`,
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
		`base64url without padding has exactly one spelling of given bytes (RFC 7515, section 2; RFC 4648, section 3.5). Whoever
accepts another gives one token many faces, which defeats caches, deny-lists and logs that know it by its text.`,
		[]string{"padding", "a signature in another alphabet", "stray bits in the signature"},
	},
	{
		"Extensions that are not understood",
		`RFC 7515 (section 4.1.11) demands refusal of a crit that is not understood, is empty or names what is no extension; RFC 7797
(section 6) demands crit for b64. Auth0 uses neither.`,
		[]string{
			`header crit is ["exp"]`, "header crit is []", `header crit is ["https://example.com/ext"]`, "header b64 is false", "header b64 is true",
		},
	},
	{
		"Broken keys in the header",
		`A key that a token brings along proves nothing and is ignored (see "header jwk is an attacker's" among the cases on which
all agree). One that does not even parse is a malformed header.`,
		[]string{`header x5c is ["AAAA"]`, `header jwk is {"k":"AAAA","kty":"oct"}`},
	},
	{
		"Size and depth",
		`What an anonymous caller can make the server parse is bounded: 16 KiB of token, and JSON of a depth that no access token has.`,
		[]string{"a token of 20 KiB", "arrays 5,000 deep"},
	},
	{
		"The authorization value",
		`Exactly one space after the scheme. RFC 6750 would allow several, no client sends them, and a value that is read by a proxy as
well should have one reading.`,
		[]string{`presented as "Bearer  TOKEN"`},
	},
}

package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/jws"
)

// A parsedToken is a token that is taken apart and not verified.
type parsedToken struct {
	header  jws.Header
	payload string
	claims  map[string]json.RawMessage
}

// text returns a claim that is a string, or "".
func (t *parsedToken) text(claim string) string {
	var text string
	_ = json.Unmarshal(t.claims[claim], &text)
	return text
}

// list returns a claim that is a string or a list of strings.
func (t *parsedToken) list(claim string) []string {
	var list []string
	if json.Unmarshal(t.claims[claim], &list) != nil {
		if text := t.text(claim); text != "" {
			return []string{text}
		}
	}
	return list
}

// time returns a claim that is a number of seconds.
func (t *parsedToken) time(claim string) (time.Time, bool) {
	var seconds float64
	if t.claims[claim] == nil || json.Unmarshal(t.claims[claim], &seconds) != nil || seconds < 0 || seconds > 1e11 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}

func (t *parsedToken) client() string {
	if client := t.text("azp"); client != "" {
		return client
	}
	return t.text("client_id")
}

// actor returns the outermost actor, or "". An actor of another issuer than the token's
// satisfies no rule.
func (t *parsedToken) actor() string {
	var actor struct{ Sub, Iss string }
	if json.Unmarshal(t.claims["act"], &actor) != nil || actor.Iss != "" && actor.Iss != t.text("iss") {
		return ""
	}
	return actor.Sub
}

// isMachine reports whether an application got the token for itself.
func (t *parsedToken) isMachine() bool {
	return t.text("gty") == "client-credentials" || strings.HasSuffix(t.text("sub"), "@clients")
}

// binding returns a member of the cnf claim, or "".
func (t *parsedToken) binding(member string) string {
	var cnf map[string]json.RawMessage
	_ = json.Unmarshal(t.claims["cnf"], &cnf)
	var text string
	_ = json.Unmarshal(cnf[member], &text)
	return text
}

// quote returns a value of a token for a terminal: on one line, and not long.
func quote(text string) string {
	const maxLength = 200
	if len(text) > maxLength {
		return fmt.Sprintf("%q …", text[:maxLength])
	}
	return fmt.Sprintf("%q", text)
}

func quoteAll(texts []string) string {
	quoted := make([]string, 0, len(texts))
	for i, text := range texts {
		if i == 5 {
			quoted = append(quoted, fmt.Sprintf("%d more", len(texts)-i))
			break
		}
		quoted = append(quoted, quote(text))
	}
	return strings.Join(quoted, ", ")
}

// checkForm takes the token apart.
func (x *explanation) checkForm(raw string) (*parsedToken, bool) {
	const request = "request the token with the parameter audience=<identifier of the API>, for example at /authorize or /oauth/token"
	switch dots := strings.Count(raw, "."); {
	case strings.ContainsAny(raw, " \t\r\n"):
		x.add(checkFail, "form", "the input has spaces or several lines", "give the token alone")
		return nil, false
	case dots == 4:
		x.add(checkFail, "form", "the token is encrypted (JWE) or opaque; a server cannot read it",
			request+". Turn off token encryption of the API if it is on")
		return nil, false
	case dots != 2:
		x.add(checkFail, "form", "the token is opaque: it is for Auth0's own endpoints and no JWT", request)
		return nil, false
	}
	parsed, err := jws.Parse(raw)
	token := &parsedToken{}
	if err == nil {
		token.header, token.payload = parsed.Header, parsed.Payload
		err = json.Unmarshal([]byte(parsed.Payload), &token.claims)
	}
	if err != nil || token.claims == nil {
		x.add(checkFail, "form", "the token is no well-formed signed JWT", "copy the whole token, without quotes and line breaks")
		return nil, false
	}
	if len(raw) > 16<<10 {
		x.add(checkFail, "form", "the token is longer than 16 KiB", "remove custom claims")
		return token, true
	}
	x.add(checkOK, "form", "a signed JWT", "")
	return token, true
}

func (x *explanation) checkHeader(t *parsedToken, accepted []string) {
	const name = "algorithm"
	switch algorithm := t.header.Algorithm; {
	case slices.Contains(accepted, algorithm):
		x.add(checkOK, name, algorithm, "")
	case strings.HasPrefix(algorithm, "HS"):
		x.add(checkFail, name, quote(algorithm)+" uses a shared secret, which no server accepts", "set the signing algorithm of the API to RS256 in Auth0")
	default:
		x.add(checkFail, name, quote(algorithm)+" is not accepted; accepted: "+strings.Join(accepted, " "),
			"set the signing algorithm of the API in Auth0, or Config.Algorithms")
	}
	if t.header.KeyID == "" {
		x.add(checkFail, "key", "the header names no key (kid)", "the token is of another issuer than Auth0; use one of Auth0")
	}
}

// checkKind finds tokens that Auth0 signs for other purposes.
func (x *explanation) checkKind(t *parsedToken) {
	for _, claim := range []string{"nonce", "at_hash", "c_hash"} {
		if t.claims[claim] != nil {
			x.add(checkFail, "kind", "the token is an ID token: it has the claim "+claim, "send the access token; the ID token is for the client itself")
			return
		}
	}
	if client := t.client(); client != "" && slices.Contains(t.list("aud"), client) {
		x.add(checkFail, "kind", "the audience is the client itself, as in an ID token", "send the access token; the ID token is for the client itself")
		return
	}
	for _, claim := range []string{"sub", "exp", "iat"} {
		if t.claims[claim] == nil {
			x.add(checkFail, "kind", "the claim "+claim+" is missing", "use an access token of Auth0")
			return
		}
	}
	x.add(checkOK, "kind", "an access token", "")
}

func (x *explanation) checkIssuer(t *parsedToken, accepted []string) {
	const name = "issuer"
	issuer := t.text("iss")
	switch {
	case issuer == "":
		x.add(checkFail, name, "the claim iss is missing", "use an access token of Auth0")
	case len(accepted) == 0:
		x.add(checkOpen, name, quote(issuer)+"; not compared", "name the issuer of the server by -issuer")
	case slices.Contains(accepted, issuer):
		x.add(checkOK, name, quote(issuer), "")
	default:
		x.add(checkFail, name, quote(issuer)+" is not accepted; accepted: "+quoteAll(accepted), issuerRemedy(issuer, accepted))
	}
}

// issuerRemedy explains the difference between issuers.
func issuerRemedy(issuer string, accepted []string) string {
	for _, a := range accepted {
		switch {
		case strings.TrimSuffix(a, "/") == strings.TrimSuffix(issuer, "/"):
			return "only the final slash differs, and issuers compare byte for byte; write Config.Issuers as the token has it"
		case strings.EqualFold(a, issuer):
			return "only upper and lower case differ, and issuers compare byte for byte; write Config.Issuers as the token has it"
		case withoutScheme(a) == withoutScheme(issuer):
			return "only the scheme differs; issuers of Auth0 begin with https://"
		}
	}
	if isAuth0Host(issuer) != slices.ContainsFunc(accepted, isAuth0Host) {
		return "one is a custom domain and the other is not: a tenant with a custom domain issues tokens for both hosts. " +
			"Let clients use the host of the server, or name both in Config.Issuers"
	}
	return "the token is of another tenant: request it from the tenant of the server, or add that tenant to Config.Issuers"
}

func withoutScheme(issuer string) string {
	_, rest, _ := strings.Cut(issuer, "://")
	return strings.TrimSuffix(rest, "/")
}

// isAuth0Host reports whether an issuer is at the host of a tenant, and not at a custom
// domain.
func isAuth0Host(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && strings.HasSuffix(u.Hostname(), ".auth0.com")
}

func (x *explanation) checkAudience(t *parsedToken, accepted []string) {
	const name = "audience"
	audiences := t.list("aud")
	switch {
	case len(audiences) == 0:
		x.add(checkFail, name, "the claim aud is missing", "request the token with audience=<identifier of the API>")
	case len(accepted) == 0:
		x.add(checkOpen, name, quoteAll(audiences)+"; not compared", "name the identifier of the API by -audience")
	case slices.ContainsFunc(audiences, func(a string) bool { return slices.Contains(accepted, a) }):
		x.add(checkOK, name, quoteAll(audiences), "")
	default:
		remedy := "request the token with audience=" + accepted[0] + ", or add the identifier to Config.Audiences"
		for _, audience := range audiences {
			if slices.ContainsFunc(accepted, func(a string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(audience, "/") }) {
				remedy = "only the final slash differs, and audiences compare byte for byte; write Config.Audiences as in the Auth0 dashboard"
			}
		}
		x.add(checkFail, name, quoteAll(audiences)+" is not accepted; accepted: "+quoteAll(accepted), remedy)
	}
}

func (x *explanation) checkTimes(t *parsedToken, now time.Time, skew time.Duration) {
	const name = "time"
	expiry, ok := t.time("exp")
	if !ok {
		x.add(checkFail, name, "the claim exp is missing or no time", "use an access token of Auth0")
		return
	}
	shown := expiry.Format(time.RFC3339)
	if !now.Before(expiry.Add(skew)) {
		x.add(checkFail, name, fmt.Sprintf("expired at %s, %s ago by the local clock", shown, now.Sub(expiry).Truncate(time.Second)),
			"get a new token. If it is new, compare the clocks: auth0grpc doctor -issuer …")
		return
	}
	for _, claim := range []string{"nbf", "iat"} {
		if start, ok := t.time(claim); ok && start.After(now.Add(skew)) {
			x.add(checkFail, name, fmt.Sprintf("valid from %s (%s), %s from now by the local clock", start.Format(time.RFC3339), claim, start.Sub(now).Truncate(time.Second)),
				"set the clock of the server, or Config.ClockSkew. Compare the clocks: auth0grpc doctor -issuer …")
			return
		}
	}
	if !now.Before(expiry) {
		x.add(checkOK, name, "expired at "+shown+", within the clock skew", "")
		return
	}
	x.add(checkOK, name, fmt.Sprintf("valid until %s, for %s more", shown, expiry.Sub(now).Truncate(time.Second)), "")
}

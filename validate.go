package auth0grpc

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/loopback"
	"github.com/auth0grpc/auth0grpc/internal/units"
)

// maxClockSkew is the largest difference of clocks that go-oidc and others assume.
const maxClockSkew = 5 * time.Minute

// faults returns every fault of the Config except the faults of its table.
func (c *Config) faults() []*ConfigError {
	faults := slices.Concat(c.issuerFaults(), c.audienceFaults(), c.algorithmFaults(), c.bindingFaults(), c.sharedStoreFaults(), c.resourceFaults(), c.timeFaults(), c.Relations.faults())
	if reason := c.StreamPolicy.explain(); reason != "" {
		faults = append(faults, &ConfigError{"StreamPolicy", c.StreamPolicy.String(), reason})
	}
	if c.ReportOnly < ReportOnlyOff || c.ReportOnly > ReportOnlyEverything {
		faults = append(faults, &ConfigError{"ReportOnly", strconv.Itoa(int(c.ReportOnly)), "want ReportOnlyOff, ReportOnlyTable or ReportOnlyEverything"})
	}
	if c.CacheSize < 0 && c.CacheSize != NoCache {
		faults = append(faults, &ConfigError{"CacheSize", strconv.Itoa(c.CacheSize), "want a number of tokens, or NoCache"})
	}
	return faults
}

func (c *Config) issuerFaults() []*ConfigError {
	if len(c.Issuers) == 0 {
		return []*ConfigError{{Field: "Issuers", Reason: `is required: the tenant's issuer, "https://TENANT.REGION.auth0.com/"`}}
	}
	var faults []*ConfigError
	for i, issuer := range c.Issuers {
		reason := explainIssuer(issuer, c.InsecureLoopbackHTTP)
		if reason == "" && slices.Contains(c.Issuers[:i], issuer) {
			reason = "is listed twice"
		}
		if reason != "" {
			faults = append(faults, &ConfigError{fmt.Sprintf("Issuers[%d]", i), redactIssuer(issuer), reason})
		}
	}
	return faults
}

// explainIssuer explains the fault of an issuer, and returns "" for a valid one. An issuer is an https URL without
// query and fragment (RFC 8414, section 2). Tokens are compared with its exact text, so
// a text that no token can contain is refused here.
func explainIssuer(issuer string, loopbackHTTP bool) string {
	if issuer == "" {
		return `is empty; want "https://TENANT.REGION.auth0.com/"`
	}
	if reason := explainText(issuer); reason != "" {
		return reason
	}
	if placeholder(issuer) {
		return "has a placeholder; put your tenant's domain there"
	}
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return "is not a URL" // the parser's text may quote a password
	case u.Scheme == "":
		return fmt.Sprintf("is not a URL; did you mean %q?", "https://"+strings.TrimSuffix(issuer, "/")+"/")
	case u.Scheme == "http" && loopbackHTTP && loopback.IsHost(u.Hostname()):
	case u.Scheme != "https":
		return "want https; http is for loopback addresses alone, with InsecureLoopbackHTTP"
	}
	switch {
	case u.Hostname() == "" || u.Opaque != "":
		return "has no host"
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#"):
		return "want scheme, host and path alone"
	case u.Host != strings.ToLower(u.Host):
		return "want the host in lower case, as tokens have it"
	case endpointOf(u) != "":
		return fmt.Sprintf("is an endpoint of the issuer; did you mean %q?", endpointOf(u))
	case strings.HasSuffix(u.Hostname(), ".auth0.com") && u.Path != "/":
		return fmt.Sprintf("Auth0's issuers end in one slash; did you mean %q?", u.Scheme+"://"+u.Host+"/")
	case strings.HasSuffix(u.Host, ":") || strings.HasPrefix(u.Path, "//"):
		return "has an empty port or path segment; is the scheme in it twice?"
	}
	return ""
}

// explainText explains the fault in the text of a value that is compared to the
// byte, or "". Values from files and environment variables bring such characters.
func explainText(text string) string {
	switch {
	case strings.TrimSpace(text) != text:
		return "has spaces or line breaks around it"
	case strings.ContainsAny(text, "\"'`"):
		return "has quotes in it"
	case strings.Contains(text, ","):
		return "has a comma; give each value as an element of its own"
	}
	return ""
}

// placeholder reports whether an issuer was copied from documentation.
func placeholder(issuer string) bool {
	_, rest, _ := strings.Cut(issuer, "://")
	host, _, _ := strings.Cut(rest, "/")
	return strings.ContainsAny(issuer, "{}<>$") || strings.Contains(strings.ToLower(host), "yourdomain") ||
		slices.ContainsFunc([]string{"TENANT", "REGION", "YOUR"}, func(word string) bool { return strings.Contains(host, word) })
}

// endpointOf returns the issuer that an endpoint belongs to, or "" if u is none.
func endpointOf(u *url.URL) string {
	for _, path := range []string{
		"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json",
		"/oauth/token", "/authorize", "/userinfo", "/api/v2",
	} {
		if base, found := strings.CutSuffix(strings.TrimSuffix(u.Path, "/"), path); found {
			return u.Scheme + "://" + u.Host + base + "/"
		}
	}
	return ""
}

// redactIssuer removes a password, which does not belong in an issuer, from the error.
func redactIssuer(issuer string) string {
	if u, err := url.Parse(issuer); err == nil && u.User != nil {
		return u.Redacted()
	}
	if strings.Contains(issuer, "@") {
		return "(not shown: it may hold a password)"
	}
	return issuer
}

func (c *Config) audienceFaults() []*ConfigError {
	if len(c.Audiences) == 0 {
		return []*ConfigError{{Field: "Audiences", Reason: "is required: the API's identifier in Auth0; there is no opt-out"}}
	}
	var faults []*ConfigError
	for i, audience := range c.Audiences {
		var reason string
		switch {
		case strings.TrimSpace(audience) == "":
			reason = "is empty; want the API's identifier in Auth0"
		case strings.TrimSpace(audience) != audience:
			reason = "has spaces around it"
		case explainText(audience) != "":
			reason = explainText(audience)
		case strings.Contains(audience, "*"):
			reason = "has a wildcard, and an audience is compared to the byte; want the API's identifier in Auth0"
		case slices.Contains(c.Audiences[:i], audience):
			reason = "is listed twice"
		case c.isUserInfo(audience):
			reason = "is the tenant's userinfo endpoint, which every token with openid names; want the API's own identifier"
		case isManagementAPI(audience):
			reason = "is Auth0's Management API, whose tokens are for Auth0 alone; want the API's own identifier"
		case c.namesClient(audience):
			reason = "is the id of an application that a row names in Clients, and ID tokens have it in aud; want the API's own identifier"
		}
		if reason != "" {
			faults = append(faults, &ConfigError{fmt.Sprintf("Audiences[%d]", i), audience, reason})
		}
	}
	return faults
}

func (c *Config) isUserInfo(audience string) bool {
	return slices.ContainsFunc(c.Issuers, func(issuer string) bool {
		return audience == strings.TrimSuffix(issuer, "/")+"/userinfo"
	})
}

// isManagementAPI reports whether an audience is the Management API of a tenant.
// It keeps the tenant's own host when there is a custom domain.
func isManagementAPI(audience string) bool {
	u, err := url.Parse(audience)
	return err == nil && strings.HasSuffix(u.Hostname(), ".auth0.com") && strings.TrimSuffix(u.Path, "/") == "/api/v2"
}

// namesClient reports whether a rule names the audience as an application. Other ids
// of applications cannot be told from identifiers of APIs.
func (c *Config) namesClient(audience string) bool {
	found := false
	for _, rule := range c.Methods {
		rule.walk(func(inner *Rule) {
			found = found || inner.kind == kindClients && slices.Contains(inner.names, audience)
		})
	}
	return found
}

func (c *Config) algorithmFaults() []*ConfigError {
	var faults []*ConfigError
	for i, alg := range c.Algorithms {
		var reason string
		switch {
		case strings.HasPrefix(strings.ToUpper(alg), "HS"):
			reason = "is symmetric: any verifier could sign; let the API sign with RS256"
		case !slices.Contains(jws.Algorithms(), alg):
			reason = "want one of " + strings.Join(jws.Algorithms(), ", ")
		case slices.Contains(c.Algorithms[:i], alg):
			reason = "is listed twice"
		}
		if reason != "" {
			faults = append(faults, &ConfigError{fmt.Sprintf("Algorithms[%d]", i), alg, reason})
		}
	}
	return faults
}

// timeFaults are the faults of all durations except in DPoPConfig.
func (c *Config) timeFaults() []*ConfigError {
	var faults []*ConfigError
	if c.ClockSkew < 0 || c.ClockSkew > maxClockSkew {
		faults = append(faults, &ConfigError{"ClockSkew", c.ClockSkew.String(), "want 0 to 5m0s"})
	}
	if c.MaxTokenLifetime < 0 {
		faults = append(faults, &ConfigError{"MaxTokenLifetime", c.MaxTokenLifetime.String(), "want the API's token expiration, or 0 for 24h"})
	}
	faults = append(faults, tooShort("ClockSkew", c.ClockSkew, time.Millisecond)...)
	return append(faults, tooShort("MaxTokenLifetime", c.MaxTokenLifetime, time.Second)...)
}

// tooShort returns the fault of a duration that is mostly a number without a unit.
func tooShort(field string, d, minimum time.Duration) []*ConfigError {
	if reason := units.TooShort(d, minimum); reason != "" {
		return []*ConfigError{{field, d.String(), reason}}
	}
	return nil
}

// sharedStoreFaults returns the values of the feed and the replay store that contradict
// the Config: a feed that forgets a revocation while a token that it covers can still
// be accepted, and a store that forgets a proof too early.
func (c *Config) sharedStoreFaults() (faults []*ConfigError) {
	if feed, ok := c.RevocationFeed.(lifetimeFeed); ok && feed.MaxTokenLifetime() < c.MaxTokenLifetime {
		faults = append(faults, &ConfigError{"RevocationFeed", feed.MaxTokenLifetime().String(),
			"its MaxTokenLifetime is below the Config's " + c.MaxTokenLifetime.String()})
	}
	if store, ok := c.DPoP.ReplayStore.(skewStore); ok && store.ClockSkew() < c.ClockSkew {
		faults = append(faults, &ConfigError{"DPoP.ReplayStore", store.ClockSkew().String(),
			"its ClockSkew is below the Config's " + c.ClockSkew.String()})
	}
	return faults
}

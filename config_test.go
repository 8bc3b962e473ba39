package auth0grpc_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
)

// sound is a configuration without a fault.
func sound() auth0grpc.Config {
	return auth0grpc.Config{
		Issuers:   []string{"https://example.eu.auth0.com/"},
		Audiences: []string{"https://api.example.com"},
		Methods:   map[string]auth0grpc.Rule{"/a.B/Get": auth0grpc.Scopes("read:b")},
	}
}

// faultsOf returns the faults that New finds, each as "Field|Value|Reason".
func faultsOf(t *testing.T, config auth0grpc.Config) []string {
	t.Helper()
	guard, err := auth0grpc.New(config)
	if err == nil {
		return nil
	}
	if guard != nil {
		t.Error("New returned an Interceptor with an error")
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("New = %T, want joined errors", err)
	}
	var faults []string
	for _, err := range joined.Unwrap() {
		var fault *auth0grpc.ConfigError
		if !errors.As(err, &fault) {
			t.Fatalf("%T, want *ConfigError", err)
		}
		if !strings.HasPrefix(err.Error(), "auth0grpc: Config."+fault.Field) {
			t.Errorf("%q does not name the field %s", err, fault.Field)
		}
		faults = append(faults, fault.Field+"|"+fault.Value+"|"+fault.Reason)
	}
	return faults
}

func TestNewIsSound(t *testing.T) {
	if faults := faultsOf(t, sound()); faults != nil {
		t.Errorf("faults of a sound configuration: %q", faults)
	}
	// Audiences that look like the faults of an audience, and are none.
	for _, audience := range []string{"https://api.example.com/api/v2/", "https://example.eu.auth0.com/orders", "100%", "read:b"} {
		config := sound()
		config.Audiences = []string{audience}
		if faults := faultsOf(t, config); faults != nil {
			t.Errorf("audience %s: %q", audience, faults)
		}
	}
}

// Unstated is an error and never "skip" (CVE-2026-40946 and eight more).
func TestNewRequires(t *testing.T) {
	want := []string{
		"Audiences||is required: the API's identifier in Auth0; there is no opt-out",
		`Issuers||is required: the tenant's issuer, "https://TENANT.REGION.auth0.com/"`,
		"Methods||is required: a method without a row is refused, so an empty table refuses every call",
	}
	if diff := cmp.Diff(want, faultsOf(t, auth0grpc.Config{})); diff != "" {
		t.Errorf("faults of the zero Config (-want +got):\n%s", diff)
	}
}

func TestNewReportsEveryFaultAtOnce(t *testing.T) {
	_, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{"example.eu.auth0.com", ""},
		Audiences:  []string{"", "api"},
		Algorithms: []string{"HS256", "none"},
		ClockSkew:  -time.Second,
		Methods: map[string]auth0grpc.Rule{
			"a.B/Get":  auth0grpc.Scopes("read:b"),
			"/a.B/Get": {},
			"/a.B/Put": auth0grpc.Scopes("", "x", "x"),
		},
	})
	want := []string{
		`auth0grpc: Config.Algorithms[0]: "HS256": is symmetric: any verifier could sign; let the API sign with RS256`,
		`auth0grpc: Config.Algorithms[1]: "none": want one of ES256, ES384, ES512, Ed25519, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512`,
		`auth0grpc: Config.Audiences[0] is empty; want the API's identifier in Auth0`,
		`auth0grpc: Config.ClockSkew: "-1s": want 0 to 5m0s`,
		`auth0grpc: Config.Issuers[0]: "example.eu.auth0.com": is not a URL; did you mean "https://example.eu.auth0.com/"?`,
		`auth0grpc: Config.Issuers[1] is empty; want "https://TENANT.REGION.auth0.com/"`,
		`auth0grpc: Config.Methods["/a.B/Get"]: "(no rule)": no rule is stated; use Scopes, Authenticated or, to let everyone in, Public`,
		`auth0grpc: Config.Methods["/a.B/Put"]: " AND x AND x": "x" is named twice`,
		`auth0grpc: Config.Methods["/a.B/Put"]: " AND x AND x": a name is empty`,
		`auth0grpc: Config.Methods["a.B/Get"]: "a.B/Get": is not a full method; want "/pkg.Service/Method" or "/pkg.Service/*"; it is another spelling of "/a.B/Get", which has a row of its own`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("New (-want +got):\n%s", diff)
	}
	if !slices.IsSorted(want) {
		t.Error("the faults are not sorted")
	}
}

func TestIssuerFaults(t *testing.T) {
	tests := []struct {
		issuer   string
		loopback bool
		want     string // a part of the reason; "" for a sound one
	}{
		{issuer: "https://example.eu.auth0.com/"},
		{issuer: "https://login.example.com/"},
		{issuer: "https://127.0.0.1:8443/"},
		{issuer: "https://example.com/tenant"},
		{issuer: "http://127.0.0.1:8080/", loopback: true},
		{issuer: "http://localhost:8080/", loopback: true},
		{issuer: "http://[::1]:8080/", loopback: true},
		{issuer: "http://127.0.0.1:8080/", want: "want https"},
		{issuer: "http://example.com/", loopback: true, want: "want https"},
		{issuer: "http://localhost.example.com/", loopback: true, want: "want https"},
		{issuer: "ftp://example.com/", want: "want https"},
		{issuer: "ftp://127.0.0.1:8080/", loopback: true, want: "want https"},
		{issuer: "https://login.example.com:/", want: "has an empty port"},
		{issuer: "https://login.example.com//", want: "has an empty port or path segment"},
		{issuer: "https://example.eu.auth0.com", want: `did you mean "https://example.eu.auth0.com/"?`},
		{issuer: "https://example.eu.auth0.com//", want: `did you mean "https://example.eu.auth0.com/"?`},
		{issuer: "https://https://example.eu.auth0.com/", want: "is the scheme in it twice?"},
		{issuer: "https://example.eu.auth0.com/oauth/token", want: `did you mean "https://example.eu.auth0.com/"?`},
		{issuer: "https://Example.eu.auth0.com/", want: "lower case"},
		{issuer: "example.eu.auth0.com/", want: `did you mean "https://example.eu.auth0.com/"?`},
		{issuer: "https:///", want: "has no host"},
		{issuer: "https:example.com", want: "has no host"},
		{issuer: "https://example.com/?a=b", want: "alone"},
		{issuer: "https://example.com/?", want: "alone"},
		{issuer: "https://example.com/#", want: "alone"},
		{issuer: "https://user:secret@example.com/", want: "alone"},
		{issuer: "https://exa mple.com/", want: "is not a URL"},
		{issuer: " https://example.eu.auth0.com/", want: "has spaces or line breaks around it"},
		{issuer: "https://example.eu.auth0.com/\n", want: "has spaces or line breaks around it"},
		{issuer: "\"https://example.eu.auth0.com/\"", want: "has quotes in it"},
		{issuer: "'https://user:secret@example.eu.auth0.com/'", want: "has quotes in it"},
		{issuer: "https://a.eu.auth0.com/,https://b.eu.auth0.com/", want: "has a comma; give each value as an element of its own"},
		{issuer: "https://example.eu.auth0.com/.well-known/openid-configuration", want: `is an endpoint of the issuer; did you mean "https://example.eu.auth0.com/"?`},
		{issuer: "https://login.example.com/.well-known/openid-configuration", want: `did you mean "https://login.example.com/"?`},
		{issuer: "https://login.example.com/realms/a/.well-known/openid-configuration/", want: `did you mean "https://login.example.com/realms/a/"?`},
		{issuer: "https://login.example.com/.well-known/jwks.json", want: `did you mean "https://login.example.com/"?`},
		{issuer: "https://login.example.com/oauth/token", want: `did you mean "https://login.example.com/"?`},
		{issuer: "https://example.eu.auth0.com/api/v2/", want: `did you mean "https://example.eu.auth0.com/"?`},
		{issuer: "https://login.example.com/myauthorize"},
		{issuer: "https://TENANT.eu.auth0.com/", want: "has a placeholder"},
		{issuer: "https://tenant.REGION.auth0.com/", want: "has a placeholder"},
		{issuer: "https://YOUR_DOMAIN/", want: "has a placeholder"},
		{issuer: "https://{yourDomain}/", want: "has a placeholder"},
		{issuer: "https://yourdomain.auth0.com/", want: "has a placeholder"},
		{issuer: "https://<tenant>.eu.auth0.com/", want: "has a placeholder"},
		{issuer: "https://${AUTH0_DOMAIN}/", want: "has a placeholder"},
		{issuer: "https://login.example.com/{tenantid}/", want: "has a placeholder"},
		{issuer: "https://example.com/TENANT"},
		{issuer: "https://tenant.eu.auth0.com/"},
		{issuer: "https://user:secret@exa mple.com/", want: "is not a URL"},
		{issuer: "://", want: "is not a URL"},
	}
	for _, test := range tests {
		config := sound()
		config.Issuers, config.InsecureLoopbackHTTP = []string{test.issuer}, test.loopback
		faults := faultsOf(t, config)
		switch {
		case test.want == "" && faults != nil:
			t.Errorf("%q: %q, want none", test.issuer, faults)
		case test.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], test.want)):
			t.Errorf("%q: %q, want one with %q", test.issuer, faults, test.want)
		case strings.Contains(strings.Join(faults, ""), "secret"):
			t.Errorf("%q: %q quotes the password", test.issuer, faults)
		}
	}
}

func TestOtherFaults(t *testing.T) {
	tests := []struct {
		name   string
		change func(*auth0grpc.Config)
		want   string
	}{
		{"issuer twice", func(c *auth0grpc.Config) { c.Issuers = append(c.Issuers, c.Issuers[0]) }, "Issuers[1]|https://example.eu.auth0.com/|is listed twice"},
		{"audience twice", func(c *auth0grpc.Config) { c.Audiences = []string{"a", "a"} }, "Audiences[1]|a|is listed twice"},
		{"audience of spaces", func(c *auth0grpc.Config) { c.Audiences = []string{" "} }, "Audiences[0]| |is empty; want the API's identifier in Auth0"},
		{"audience with spaces", func(c *auth0grpc.Config) { c.Audiences = []string{"a "} }, "Audiences[0]|a |has spaces around it"},
		{"audience is userinfo", func(c *auth0grpc.Config) { c.Audiences = []string{"https://example.eu.auth0.com/userinfo"} }, "Audiences[0]|https://example.eu.auth0.com/userinfo|is the tenant's userinfo endpoint, which every token with openid names; want the API's own identifier"},
		{"audience in quotes", func(c *auth0grpc.Config) { c.Audiences = []string{`"a"`} }, `Audiences[0]|"a"|has quotes in it`},
		{"audience list", func(c *auth0grpc.Config) { c.Audiences = []string{"a,b"} }, "Audiences[0]|a,b|has a comma; give each value as an element of its own"},
		{"any audience", func(c *auth0grpc.Config) { c.Audiences = []string{"*"} }, "Audiences[0]|*|has a wildcard, and an audience is compared to the byte; want the API's identifier in Auth0"},
		{"audiences of a host", func(c *auth0grpc.Config) { c.Audiences = []string{"https://api.example.com/*"} }, "Audiences[0]|https://api.example.com/*|has a wildcard, and an audience is compared to the byte; want the API's identifier in Auth0"},
		{"Management API", func(c *auth0grpc.Config) { c.Audiences = []string{"https://example.eu.auth0.com/api/v2/"} }, "Audiences[0]|https://example.eu.auth0.com/api/v2/|is Auth0's Management API, whose tokens are for Auth0 alone; want the API's own identifier"},
		{"Management API beside a custom domain", func(c *auth0grpc.Config) {
			c.Issuers, c.Audiences = []string{"https://login.example.com/"}, []string{"https://other.us.auth0.com/api/v2"}
		}, "Audiences[0]|https://other.us.auth0.com/api/v2|is Auth0's Management API, whose tokens are for Auth0 alone; want the API's own identifier"},
		{"application as audience", func(c *auth0grpc.Config) {
			c.Audiences = []string{"gRPCk9dLm2"}
			c.Methods["/a.B/Put"] = auth0grpc.AllOf(auth0grpc.Clients("other", "gRPCk9dLm2"), auth0grpc.Scopes("put:b"))
		}, "Audiences[0]|gRPCk9dLm2|is the id of an application that a row names in Clients, and ID tokens have it in aud; want the API's own identifier"},
		{"algorithm twice", func(c *auth0grpc.Config) { c.Algorithms = []string{"ES256", "ES256"} }, "Algorithms[1]|ES256|is listed twice"},
		{"algorithm in lower case", func(c *auth0grpc.Config) { c.Algorithms = []string{"hs256"} }, "Algorithms[0]|hs256|is symmetric: any verifier could sign; let the API sign with RS256"},
		{"negative lifetime", func(c *auth0grpc.Config) { c.MaxTokenLifetime = -time.Hour }, "MaxTokenLifetime|-1h0m0s|want the API's token expiration, or 0 for 24h"},
		{"skew too large", func(c *auth0grpc.Config) { c.ClockSkew = 5*time.Minute + 1 }, "ClockSkew|5m0.000000001s|want 0 to 5m0s"},
		{"negative timeout of relations", func(c *auth0grpc.Config) { c.Relations.Timeout = -time.Second }, "Relations.Timeout|-1s|want a positive duration, or 0 for a second"},
		{"negative lifetime of relations", func(c *auth0grpc.Config) { c.Relations.CacheLifetime = -time.Second }, "Relations.CacheLifetime|-1s|want a positive duration, 0 for 5s, or NoCache"},
		{"negative cache", func(c *auth0grpc.Config) { c.CacheSize = -2 }, "CacheSize|-2|want a number of tokens, or NoCache"},
		{"negative mode", func(c *auth0grpc.Config) { c.ReportOnly = -1 }, "ReportOnly|-1|want ReportOnlyOff, ReportOnlyTable or ReportOnlyEverything"},
		{"negative cache of relations", func(c *auth0grpc.Config) { c.Relations.CacheSize = -1 }, "Relations.CacheSize|-1|want a positive number, or 0 for the default"},
		{"negative checks of relations", func(c *auth0grpc.Config) { c.Relations.MaxChecks = -1 }, "Relations.MaxChecks|-1|want a positive number, or 0 for the default"},
		{"unknown report-only mode", func(c *auth0grpc.Config) { c.ReportOnly = 3 }, "ReportOnly|3|want ReportOnlyOff, ReportOnlyTable or ReportOnlyEverything"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := sound()
			test.change(&config)
			if diff := cmp.Diff([]string{test.want}, faultsOf(t, config)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// A key that is no canonical full method would match nothing (CVE-2026-33186).
func TestMethodKeyFaults(t *testing.T) {
	const form = `is not a full method; want "/pkg.Service/Method" or "/pkg.Service/*"`
	const wholePackage = "; a wildcard covers the methods of one service: give each service of a package a row of its own"
	for key, want := range map[string]string{
		"a.B/Get":   form + `; did you mean "/a.B/Get"?`,
		"/a.B/Get/": form + `; did you mean "/a.B/Get"?`,
		" /a.B/Get": form + `; did you mean "/a.B/Get"?`,
		"a.B.Get":   form + `; did you mean "/a.B/Get"?`,
		"//a.B/Get": form + `; did you mean "/a.B/Get"?`,
		"a.B/*":     form + `; did you mean "/a.B/*"?`,

		"/tickets.v1.Tickets":     form + `; did you mean "/tickets.v1.Tickets/*"?`,
		"tickets.v1.Tickets":      form + `; did you mean "/tickets.v1.Tickets/*"?`,
		"/tickets.v1.Tickets/":    form + `; did you mean "/tickets.v1.Tickets/*"?`,
		"Tickets":                 form + `; did you mean "/Tickets/*"?`,
		"/tickets.v1.Tickets.Get": form + `; did you mean "/tickets.v1.Tickets/Get"?`,
		"/tickets.v1.Api.Get":     form + `; did you mean "/tickets.v1.Api/Get"?`, // each end of the capitals
		"/tickets.v1.Zones.Get":   form + `; did you mean "/tickets.v1.Zones/Get"?`,
		"/tickets.v1.9.Get":       form,
		"tickets..Get":            form,
		"/tickets.v1.*":           form + wholePackage,
		"tickets.*":               form + wholePackage,
		"/tickets.v1.*/":          form + wholePackage,
		"/tickets.v1.*/*":         form,

		"":              form,
		"/":             form,
		"*":             form,
		"/*":            form,
		"/*/*":          form,
		"/a.B/Ge*":      form,
		"/a.*/Get":      form,
		"/a.B/Get/More": form,
		"/a.B/Get-It":   form,
		"/a..B/Get":     form,
		"/a.B/Get\n":    form + `; did you mean "/a.B/Get"?`,
	} {
		config := sound()
		config.Methods = map[string]auth0grpc.Rule{key: auth0grpc.Public()}
		faults := faultsOf(t, config)
		if len(faults) != 1 || !strings.HasSuffix(faults[0], "|"+key+"|"+want) {
			t.Errorf("%q: %q, want %q", key, faults, want)
		}
	}
}

// New copies its Config: later changes of the original change no verdict.
func TestConfigIsCopied(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.Algorithms = []string{"RS256"}
	guard := mustNew(t, config)
	before := guard.String()
	config.Issuers[0], config.Audiences[0], config.Algorithms[0] = "https://leak.example.com/", "leak", "ES256"
	config.Methods[allMethods] = auth0grpc.Public()
	delete(config.Methods, unaryCall)
	for shape, r := range direct(t, t.Context(), guard, unaryCall, nil) {
		t.Run(shape+" without a token", func(t *testing.T) { missing.check(t, r) })
	}
	md := metadata.Pairs("authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders"}))
	for shape, r := range direct(t, t.Context(), guard, unaryCall, md) {
		t.Run(shape+" with one", func(t *testing.T) { passes.check(t, r) })
	}
	if guard.String() != before {
		t.Errorf("the table became\n%s", guard)
	}
}

// Development without TLS is possible on one's own machine, and has to be said.
func TestInsecureLoopbackHTTP(t *testing.T) {
	config := sound()
	config.Issuers, config.InsecureLoopbackHTTP = []string{"http://127.0.0.1:1/"}, true
	guard := mustNew(t, config)
	if err := guard.Ready(t.Context()); !errors.Is(err, auth0grpc.ErrKeysUnavailable) {
		t.Errorf("Ready = %v, want ErrKeysUnavailable", err)
	}
}

func TestInterceptorString(t *testing.T) {
	config := sound()
	config.Methods = map[string]auth0grpc.Rule{
		"/b.C/*":                auth0grpc.AnyScope("write:b", "admin"),
		"/a.B/Get":              auth0grpc.Scopes("read:b", "admin"),
		auth0grpc.HealthService: auth0grpc.Public(),
	}
	guard := mustNew(t, config)
	want := strings.Join([]string{
		"/a.B/Get                  read:b AND admin",
		"/b.C/*                    write:b OR admin",
		"/grpc.health.v1.Health/*  public",
		"",
		"scopes: admin read:b write:b",
		"",
		"policy: " + guard.Stats().Policy,
		"",
	}, "\n")
	if diff := cmp.Diff(want, guard.String()); diff != "" {
		t.Errorf("String (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"admin", "read:b", "write:b"}, guard.RequiredScopes()); diff != "" {
		t.Errorf("Scopes (-want +got):\n%s", diff)
	}
	config.Methods = map[string]auth0grpc.Rule{"/a.B/Get": auth0grpc.Public()}
	if got := mustNew(t, config).String(); got != "/a.B/Get  public\n\npolicy: 7842be40550b0d2e\n" {
		t.Errorf("String = %q", got)
	}
}

// A number without a unit counts nanoseconds: no duration of a Config is that short.
func TestNumbersWithoutUnit(t *testing.T) {
	fields := map[string]func(*auth0grpc.Config) *time.Duration{
		"Config.ClockSkew":             func(c *auth0grpc.Config) *time.Duration { return &c.ClockSkew },
		"Config.MaxTokenLifetime":      func(c *auth0grpc.Config) *time.Duration { return &c.MaxTokenLifetime },
		"RelationConfig.Timeout":       func(c *auth0grpc.Config) *time.Duration { return &c.Relations.Timeout },
		"RelationConfig.CacheLifetime": func(c *auth0grpc.Config) *time.Duration { return &c.Relations.CacheLifetime },
		"DPoPConfig.MaxProofAge":       func(c *auth0grpc.Config) *time.Duration { return &c.DPoP.MaxProofAge },
		"DPoPConfig.MaxProofSkew":      func(c *auth0grpc.Config) *time.Duration { return &c.DPoP.MaxProofSkew },
		"DPoPConfig.NonceLifetime":     func(c *auth0grpc.Config) *time.Duration { return &c.DPoP.NonceLifetime },
	}
	for _, config := range []any{auth0grpc.Config{}, auth0grpc.DPoPConfig{}, auth0grpc.MTLSConfig{}, auth0grpc.RelationConfig{}} {
		typ := reflect.TypeOf(config)
		for i := range typ.NumField() {
			field := typ.Name() + "." + typ.Field(i).Name
			if typ.Field(i).Type != reflect.TypeFor[time.Duration]() {
				continue
			}
			value := fields[field]
			if value == nil {
				t.Errorf("%s is a duration without a row in this test", field)
				continue
			}
			short := strings.TrimPrefix(strings.NewReplacer("DPoPConfig", "DPoP", "RelationConfig", "Relations").Replace(field), "Config.")
			for plain, suggestion := range map[time.Duration]string{60: "60*time.Second", 300_000: "300000*time.Millisecond"} {
				config := sound()
				config.DPoP.Mode, config.DPoP.Authorities = auth0grpc.BindingAllowed, []string{"https://api.example.com"}
				*value(&config) = plain
				faults := faultsOf(t, config)
				if len(faults) != 1 || !strings.HasPrefix(faults[0], short+"|") || !strings.HasSuffix(faults[0], "a number without a unit counts nanoseconds: did you mean "+suggestion+"?") {
					t.Errorf("%s of %d: %q", short, plain, faults)
				}
				*value(&config) = time.Second
				if faults := faultsOf(t, config); faults != nil {
					t.Errorf("%s of a second: %q", short, faults)
				}
			}
		}
	}
	for name, change := range map[string]func(*auth0grpc.Config){
		"StreamPolicy": func(c *auth0grpc.Config) { c.StreamPolicy = auth0grpc.EndAfter(30) },
		"Streams":      func(c *auth0grpc.Config) { c.Methods["/a.B/Get"] = auth0grpc.Public().Streams(auth0grpc.EndAfter(30)) },
	} {
		config := sound()
		change(&config)
		if faults := faultsOf(t, config); len(faults) != 1 || !strings.HasSuffix(faults[0], "did you mean 30*time.Second?") {
			t.Errorf("%s: %q", name, faults)
		}
	}
}

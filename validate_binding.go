package auth0grpc

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/dpop"
	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/units"
)

// bindingFaults returns the faults of Config.DPoP and Config.MTLS.
func (c *Config) bindingFaults() []*ConfigError {
	var faults []*ConfigError
	fault := func(field, value, reason string) {
		faults = append(faults, &ConfigError{field, value, reason})
	}
	for field, mode := range map[string]BindingMode{"DPoP.Mode": c.DPoP.Mode, "MTLS.Mode": c.MTLS.Mode} {
		if mode < BindingDisabled || mode > BindingRequired {
			fault(field, fmt.Sprint(int(mode)), "want BindingDisabled, BindingAllowed or BindingRequired")
		}
	}
	if c.DPoP.Mode == BindingDisabled {
		return faults
	}
	if len(c.DPoP.Authorities) == 0 {
		fault("DPoP.Authorities", "", `is required: the address that clients call, "https://api.example.com"`)
	}
	var normal []string
	for i, authority := range c.DPoP.Authorities {
		reason := explainAuthority(authority)
		if reason == "" {
			normal = append(normal, normalizeAuthority(authority))
			if slices.Contains(normal[:len(normal)-1], normal[len(normal)-1]) {
				reason = "is listed twice"
			}
		}
		if reason != "" {
			fault(fmt.Sprintf("DPoP.Authorities[%d]", i), redactIssuer(authority), reason)
		}
	}
	for i, alg := range c.DPoP.Algorithms {
		var reason string
		switch {
		case !slices.Contains(jws.Algorithms(), alg):
			reason = "want one of " + strings.Join(jws.Algorithms(), ", ")
		case slices.Contains(c.DPoP.Algorithms[:i], alg):
			reason = "is listed twice"
		}
		if reason != "" {
			fault(fmt.Sprintf("DPoP.Algorithms[%d]", i), alg, reason)
		}
	}
	return append(faults, c.DPoP.timeAndNonceFaults()...)
}

func (d *DPoPConfig) timeAndNonceFaults() []*ConfigError {
	var faults []*ConfigError
	if d.MaxProofAge < 0 {
		faults = append(faults, &ConfigError{"DPoP.MaxProofAge", d.MaxProofAge.String(), "want a positive time, or 0 for 5m0s"})
	}
	if d.MaxProofSkew < 0 {
		faults = append(faults, &ConfigError{"DPoP.MaxProofSkew", d.MaxProofSkew.String(), "want a positive time, or 0 for 30s"})
	}
	switch reason := units.TooShort(d.NonceLifetime, time.Second); {
	case d.NonceLifetime < 0:
		faults = append(faults, &ConfigError{"DPoP.NonceLifetime", d.NonceLifetime.String(), "want at least 1s, or 0 for 5m0s"})
	case reason != "":
		faults = append(faults, &ConfigError{"DPoP.NonceLifetime", d.NonceLifetime.String(), strings.Replace(reason, "want at least 1s", "want at least 1s, or 0 for 5m0s", 1)})
	}
	faults = append(faults, tooShort("DPoP.MaxProofAge", d.MaxProofAge, time.Second)...)
	faults = append(faults, tooShort("DPoP.MaxProofSkew", d.MaxProofSkew, time.Millisecond)...)
	for i, key := range d.NonceKeys {
		// One key at a time, so that the fault names the key.
		if _, err := dpop.NewNonces([][]byte{key}, time.Second); err != nil {
			faults = append(faults, &ConfigError{fmt.Sprintf("DPoP.NonceKeys[%d]", i), "", fmt.Sprintf("has %d bytes; want at least 32, random ones", len(key))})
		}
	}
	return faults
}

// explainAuthority explains the fault of an authority, and returns "" for a valid one.
func explainAuthority(authority string) string {
	u, err := url.Parse(authority)
	if _, normalErr := dpop.NormalizeURI(authority); err != nil || normalErr != nil ||
		u.EscapedPath() != "" && u.EscapedPath() != "/" || strings.ContainsAny(authority, "?#") {
		return `want scheme and authority alone, "https://api.example.com"`
	}
	return ""
}

// bindingFaults returns the rows that require a disabled binding.
func (t *table) bindingFaults(dpop, mtls BindingMode) []*ConfigError {
	var faults []*ConfigError
	for i := range t.rows {
		r := &t.rows[i]
		if r.rule.requireDPoP && dpop == BindingDisabled || r.rule.requireMTLS && mtls == BindingDisabled {
			faults = append(faults, &ConfigError{methodsField(r.pattern), shorten(r.rule.String()), "asks for a binding whose Config.DPoP.Mode or Config.MTLS.Mode is BindingDisabled"})
		}
	}
	return faults
}

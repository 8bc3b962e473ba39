package auth0grpc

import (
	"net/url"
	"strings"

	"github.com/auth0grpc/auth0grpc/internal/loopback"
)

// ResourceMetadata is the protected resource metadata of RFC 9728, section 2. Its JSON
// form is the document that clients fetch; package auth0grpchttp serves it.
type ResourceMetadata struct {
	Resource               string   `json:"resource"` // Config.Resource
	Name                   string   `json:"resource_name,omitempty"`
	Documentation          string   `json:"resource_documentation,omitempty"`
	Policy                 string   `json:"resource_policy_uri,omitempty"`
	TermsOfService         string   `json:"resource_tos_uri,omitempty"`
	AuthorizationServers   []string `json:"authorization_servers,omitempty"` // Config.Issuers
	Scopes                 []string `json:"scopes_supported,omitempty"`      // Interceptor.RequiredScopes
	BearerMethods          []string `json:"bearer_methods_supported,omitempty"`
	DPoPAlgorithms         []string `json:"dpop_signing_alg_values_supported,omitempty"`
	DPoPRequired           bool     `json:"dpop_bound_access_tokens_required,omitempty"`
	CertificateBoundByMTLS bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
}

// NewResourceMetadata returns the metadata of the API that i protects, from its
// [Config] and its current table. It is zero without [Config.Resource].
//
// Strangers may read it. Its scopes are all that the table names; remove them if their
// names are confidential.
func NewResourceMetadata(i *Interceptor) ResourceMetadata {
	if i.resource == nil {
		return ResourceMetadata{}
	}
	m := *i.resource
	m.Scopes = i.RequiredScopes()
	return m
}

// ResourceMetadataURL returns the address of the metadata of a resource: RFC 9728,
// section 3.1, inserts "/.well-known/oauth-protected-resource" between host and path.
// It returns "" for a resource that [Config.Resource] does not accept.
func ResourceMetadataURL(resource string) string {
	if explainResource(resource, true) != "" {
		return ""
	}
	u, _ := url.Parse(resource) // explainResource has parsed it
	path := u.EscapedPath()
	if path == "/" {
		path = ""
	}
	address := u.Scheme + "://" + u.Host + "/.well-known/oauth-protected-resource" + path
	if u.RawQuery != "" {
		address += "?" + u.RawQuery
	}
	return address
}

// newResourceMetadata returns the part of the metadata that does not depend on the
// table, or nil if none is configured.
func newResourceMetadata(c *Config) *ResourceMetadata {
	if c.Resource == "" {
		return nil
	}
	m := &ResourceMetadata{
		Resource: c.Resource, AuthorizationServers: c.Issuers, BearerMethods: []string{"header"},
		DPoPRequired: c.DPoP.Mode == BindingRequired, CertificateBoundByMTLS: c.MTLS.Mode != BindingDisabled,
	}
	if c.DPoP.Mode != BindingDisabled {
		m.DPoPAlgorithms = c.DPoP.Algorithms
	}
	return m
}

// explainResource explains the fault of a resource identifier, or "" (RFC 9728, section
// 1.2).
func explainResource(resource string, loopbackHTTP bool) string {
	u, err := url.Parse(resource)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.User != nil:
		return `want a URL, "https://api.example.com"`
	case u.Scheme != "https" && !(u.Scheme == "http" && loopbackHTTP && loopback.IsHost(u.Hostname())):
		return "want https"
	case strings.Contains(resource, "#"):
		return "has a fragment"
	case strings.ContainsAny(resource, "\"\\ ") || !isASCII(resource):
		return "has characters that no URL has"
	}
	return ""
}

func isASCII(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// resourceFaults are the faults of Config.Resource.
func (c *Config) resourceFaults() (faults []*ConfigError) {
	if c.Resource == "" {
		return nil
	}
	if reason := explainResource(c.Resource, c.InsecureLoopbackHTTP); reason != "" {
		return append(faults, &ConfigError{"Resource", redactIssuer(c.Resource), reason})
	}
	return nil
}

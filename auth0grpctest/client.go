package auth0grpctest

import (
	"crypto"
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
)

// A client is a registered application. It never changes. It authenticates by
// its secret, its key or its certificate, or is public and does not.
type client struct {
	id, secret  string
	key         crypto.PublicKey
	certificate *x509.Certificate
	grants      map[string][]string // audience to scopes
}

func (c *client) public() bool { return c.secret == "" && c.key == nil && c.certificate == nil }

// AddClient registers an application at the token endpoint. The grants name the
// APIs that it may ask for, by audience, and the scopes that it may have there.
// An application with a secret may use the client credentials grant and sends
// the secret in the body or by HTTP Basic; one with an empty secret is public,
// as native applications are, and may only use the device flow.
//
// The same id again replaces the registration. AddClient panics on an empty id.
// [Tenant.AddKeyClient] and [Tenant.AddCertificateClient] register applications
// that have something better than a secret.
func (t *Tenant) AddClient(id, secret string, grants map[string][]string) {
	t.register(&client{id: id, secret: secret}, grants)
}

// AddCertificateClient is [Tenant.AddClient] for an application that
// authenticates with exactly this certificate in the TLS handshake. Any
// authority may have issued it. Its tokens are bound to the certificate, unless the request has a
// DPoP proof, and their token_type is Bearer. [Tenant.HTTPClientWithCertificate]
// is a client that presents one.
func (t *Tenant) AddCertificateClient(id string, certificate *x509.Certificate, grants map[string][]string) {
	t.register(&client{id: id, certificate: certificate}, grants)
}

func (t *Tenant) register(c *client, grants map[string][]string) {
	if c.id == "" {
		panic("auth0grpctest: AddClient: empty client id")
	}
	c.grants = make(map[string][]string, len(grants))
	for audience, scopes := range grants {
		c.grants[audience] = slices.Clone(scopes)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clients[c.id] = c
}

func unauthorized() *oauthError {
	return &oauthError{http.StatusUnauthorized, "access_denied", "Unauthorized"}
}

// authenticate returns the client that sent a token request. Each way to prove
// that is a case here: an assertion, a certificate, a secret in one of two
// places, or none at all for a public client.
func (t *Tenant) authenticate(r *http.Request, form url.Values) (*client, *oauthError) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	user, password, basic := r.BasicAuth()
	if form.Has("client_assertion") {
		if basic || secret != "" {
			return nil, invalidRequest("More than one method of client authentication.")
		}
		return t.assertedClient(form)
	}
	if basic {
		if secret != "" {
			return nil, invalidRequest("More than one method of client authentication.")
		}
		// Both are form-encoded inside Basic: RFC 6749, section 2.3.1.
		basicID, err1 := url.QueryUnescape(user)
		basicSecret, err2 := url.QueryUnescape(password)
		if err1 != nil || err2 != nil || (id != "" && id != basicID) {
			return nil, invalidRequest("Malformed client credentials.")
		}
		id, secret = basicID, basicSecret
	}
	c := t.client(id)
	switch {
	case c == nil || c.secret != secret || c.key != nil:
		return nil, unauthorized()
	case c.certificate != nil && !hasCertificate(r, c.certificate):
		return nil, invalidClient("The client certificate is missing or another one.")
	}
	return c, nil
}

// hasCertificate reports whether the request came over a connection of that client
// certificate. TLS has made sure that the client has its key.
func hasCertificate(r *http.Request, certificate *x509.Certificate) bool {
	return r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && r.TLS.PeerCertificates[0].Equal(certificate)
}

// client returns a registered client, or nil.
func (t *Tenant) client(id string) *client {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.clients[id]
}

// grantedScopes returns the scopes that a client may have at an API. Every audience that
// any client was granted is an API of this tenant.
func (t *Tenant) grantedScopes(c *client, audience string) ([]string, *oauthError) {
	if scopes, ok := c.grants[audience]; ok && audience != "" {
		return scopes, nil
	}
	if !t.knowsAudience(audience) {
		return nil, &oauthError{http.StatusForbidden, "access_denied", "Service not enabled within domain: " + audience}
	}
	return nil, &oauthError{
		http.StatusForbidden, "access_denied",
		`Client is not authorized to access "` + audience + `". You need to create a "client-grant" associated to this API.`,
	}
}

func (t *Tenant) knowsAudience(audience string) bool {
	if audience == Audience {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.clients {
		if _, ok := c.grants[audience]; ok && audience != "" {
			return true
		}
	}
	return false
}

package keyset

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json" // exact-case names, no duplicates (hashicorp/cap#191)

	"github.com/auth0grpc/auth0grpc/internal/retryafter"
)

const (
	maxBody      = 1 << 20
	requestLimit = 5 * time.Second // for one request, redirects and body included

	wellKnown = "/.well-known/openid-configuration"
)

// source fetches the keys of one issuer. One flight at a time uses it.
type source struct {
	issuer string
	base   *url.URL // the issuer; nil if it cannot be fetched from
	client *http.Client
	// ownsClient reports whether the source may close the client's connections.
	ownsClient bool
	now        func() time.Time
	limit      time.Duration

	jwksURI string // from the discovery document; "" if it must be fetched
}

func newSource(issuer string, client *http.Client, now func() time.Time) *source {
	s := &source{issuer: issuer, base: parseIssuer(issuer), now: now, limit: requestLimit}
	s.client, s.ownsClient = guardedClient(client)
	return s
}

// fetch returns the issuer's keys. An error after which the set was read comes
// with its unused keys.
func (s *source) fetch(ctx context.Context) (keyList, error) {
	if s.ownsClient {
		// A connection would idle for minutes until the next refresh, and
		// costs two goroutines.
		defer s.client.CloseIdleConnections()
	}
	// The jwks_uri is kept only while it leads to keys. It is removed here and
	// put back after success, so a panic or an error in between removes it.
	uri := s.jwksURI
	s.jwksURI = ""
	if uri == "" {
		var err error
		if uri, err = s.discover(ctx); err != nil {
			return keyList{}, err
		}
	}
	body, err := s.get(ctx, "jwks", uri)
	if err != nil {
		return keyList{}, err
	}
	list, err := parseSet(body)
	if err == nil {
		s.jwksURI = uri
	}
	return list, err
}

// discover returns the issuer's jwks_uri (OpenID Connect Discovery 1.0,
// section 4, RFC 8414, section 3).
func (s *source) discover(ctx context.Context) (string, error) {
	if s.base == nil {
		return "", newFetchError("discovery", "has no usable address")
	}
	body, err := s.get(ctx, "discovery", strings.TrimSuffix(s.issuer, "/")+wellKnown)
	if err != nil {
		return "", err
	}
	var doc struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", newFetchError("discovery", "is not a JSON metadata document")
	}
	// Byte for byte (RFC 8414, section 3.3, OpenID Connect Discovery 1.0,
	// section 4.3): a document of another issuer would bring its keys.
	if doc.Issuer != s.issuer {
		return "", issuerMismatch(doc.Issuer, s.issuer)
	}
	if !s.allowedJWKSURI(doc.JWKSURI) {
		return "", newFetchError("discovery", "names a jwks_uri that is not on the issuer's host")
	}
	return doc.JWKSURI, nil
}

// allowedJWKSURI reports whether raw is an address on the issuer's own host.
// RFC 8414 allows any host. Auth0 uses only its own, and another host is the
// pattern of server-side request forgery and key substitution (CVE-2026-49478,
// CVE-2026-32301).
func (s *source) allowedJWKSURI(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.User == nil && u.Opaque == "" && !strings.Contains(raw, "#") &&
		sameOrigin(u, s.base)
}

// get fetches one document. Error texts call it document.
func (s *source) get(ctx context.Context, document, uri string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, newFetchError(document, "has no usable address")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, transportError(document, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, s.statusError(document, resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, transportError(document, err)
	}
	if len(body) > maxBody {
		return nil, newFetchError(document, "body exceeds 1 MiB")
	}
	return body, nil
}

// statusError returns the error for a status other than 200, with the time that
// its Retry-After asks for (RFC 9110, section 10.2.3).
func (s *source) statusError(document string, resp *http.Response) error {
	f := newFetchError(document, fmt.Sprintf("answered status %d", resp.StatusCode))
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		f.retryAfter = retryafter.Parse(resp.Header.Get("Retry-After"), s.now())
	}
	return f
}

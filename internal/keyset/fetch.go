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
)

const (
	maxBody      = 1 << 20
	requestLimit = 5 * time.Second // for one request, redirects and body included

	wellKnown = "/.well-known/openid-configuration"
)

// source fetches the keys of one issuer. It is used by one flight at a time.
type source struct {
	issuer string
	base   *url.URL // the issuer; nil if it is no address to fetch from
	client *http.Client
	own    bool // the client's connections are ours to close
	now    func() time.Time
	limit  time.Duration

	jwksURI string // what discovery said; "" means to ask (again)
}

func newSource(issuer string, client *http.Client, now func() time.Time) *source {
	s := &source{issuer: issuer, base: parseIssuer(issuer), now: now, limit: requestLimit}
	s.client, s.own = guardedClient(client)
	return s
}

// fetch returns the issuer's keys. An error after which the set was read comes
// with its unused keys.
func (s *source) fetch(ctx context.Context) (keyList, error) {
	if s.own {
		// Connections would idle for minutes until the next refresh, with two
		// goroutines each.
		defer s.client.CloseIdleConnections()
	}
	// What discovery said holds only as long as it leads to keys: it is taken
	// away here and put back after success, whatever comes between.
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

// discover returns the issuer's jwks_uri (OpenID Connect Discovery 1.0
// section 4, RFC 8414 section 3).
func (s *source) discover(ctx context.Context) (string, error) {
	if s.base == nil {
		return "", fault("discovery", "has no usable address")
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
		return "", fault("discovery", "is not a JSON metadata document")
	}
	// Byte for byte (RFC 8414 section 3.3, OpenID Connect Discovery 4.3): a
	// document that speaks for another issuer would hand us that one's keys.
	if doc.Issuer != s.issuer {
		return "", fault("discovery", "is of another issuer")
	}
	if !s.keysMayLiveAt(doc.JWKSURI) {
		return "", fault("discovery", "names a jwks_uri that is not on the issuer's host")
	}
	return doc.JWKSURI, nil
}

// keysMayLiveAt reports whether raw is an address on the issuer's own host.
// RFC 8414 would allow any; Auth0 uses none but its own, and an address
// elsewhere is what server-side request forgery and key substitution look like
// (CVE-2026-49478, CVE-2026-32301).
func (s *source) keysMayLiveAt(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.User == nil && u.Opaque == "" && !strings.Contains(raw, "#") &&
		sameOrigin(u, s.base)
}

// get fetches one document. The word what names it in error texts.
func (s *source) get(ctx context.Context, what, uri string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, fault(what, "has no usable address")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, transportFault(what, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, s.statusFault(what, resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, transportFault(what, err)
	}
	if len(body) > maxBody {
		return nil, fault(what, "body exceeds 1 MiB")
	}
	return body, nil
}

// statusFault describes an answer that is not 200, and what it says about
// coming back (RFC 9110 section 10.2.3).
func (s *source) statusFault(what string, resp *http.Response) error {
	f := fault(what, fmt.Sprintf("answered status %d", resp.StatusCode))
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		f.retryAfter = retryAfter(resp.Header.Get("Retry-After"), s.now())
	}
	return f
}

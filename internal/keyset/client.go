package keyset

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/loopback"
)

const maxRedirects = 3

var (
	errRedirectAway = errors.New("keyset: redirect to another host")
	errRedirects    = errors.New("keyset: too many redirects")
)

// guardedClient returns a copy of base, or a new client if base is nil, that
// follows no redirect to another host and sends no cookies. The result owned
// reports whether the client's connections belong to the caller alone.
func guardedClient(base *http.Client) (client *http.Client, owned bool) {
	guarded := http.Client{}
	if base != nil {
		guarded = *base
	} else {
		guarded.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSHandshakeTimeout:    requestLimit,
			ForceAttemptHTTP2:      true,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	guarded.Jar = nil
	guarded.CheckRedirect = sameOriginRedirect
	return &guarded, base == nil
}

// sameOriginRedirect allows a few redirects within the scheme and host of the
// first request. The last hop chooses the keys, so a hop to another host would
// let that host choose them (CVE-2026-49478).
func sameOriginRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errRedirects
	}
	if req.URL.User != nil || !sameOrigin(req.URL, via[0].URL) {
		return errRedirectAway
	}
	return nil
}

// parseIssuer returns the issuer as a URL to fetch from, or nil if it cannot be
// used: the scheme must be https, or http on a loopback host, and it must have
// only scheme, host and path (OpenID Connect Discovery 1.0, section 2).
func parseIssuer(issuer string) *url.URL {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(issuer, "?#") {
		return nil
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback.IsHost(u.Hostname())) {
		return nil
	}
	return u
}

// sameOrigin reports whether a and b have the same scheme, host and port. A
// missing port is the scheme's default.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Hostname() != "" &&
		strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// isTimeout reports whether err is a timeout of any kind.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

package keyset

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const maxRedirects = 3

var (
	errRedirectAway = errors.New("keyset: redirect to another host")
	errRedirects    = errors.New("keyset: too many redirects")
)

// guardedClient returns a copy of given, or a client of our own if given is
// nil, that stays on the host it was sent to and carries no credentials.
func guardedClient(given *http.Client) (client *http.Client, own bool) {
	guarded := http.Client{}
	if given != nil {
		guarded = *given
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
	guarded.CheckRedirect = stayHome
	return &guarded, given == nil
}

// stayHome is a redirect policy: a few, within the scheme and host of the first
// request. The keys are whatever the last hop says they are, so a hop to
// another host would let that host choose them (CVE-2026-49478).
func stayHome(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errRedirects
	}
	if req.URL.User != nil || !sameOrigin(req.URL, via[0].URL) {
		return errRedirectAway
	}
	return nil
}

// parseIssuer returns the issuer as an address to fetch from, or nil if it is
// none: it must be https, or http on this very machine, and nothing but scheme,
// host and path (OpenID Connect Discovery 1.0 section 2).
func parseIssuer(issuer string) *url.URL {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(issuer, "?#") {
		return nil
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return nil
	}
	return u
}

// sameOrigin reports whether a and b have the same scheme, host and port, be
// the port written out or not.
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

// loopback reports whether host is this machine, without asking a resolver.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// isTimeout reports whether err is a time limit of whatever kind.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

package dpop_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/auth0grpc/auth0grpc/internal/dpop"
)

var normalised = map[string]string{
	"https://api.example.com/shop.Orders/List": "https://api.example.com/shop.Orders/List",
	// RFC 3986, section 6.2.2.1: case.
	"HTTPS://API.Example.COM/Shop": "https://api.example.com/Shop",
	"https://a/%c3%a9%2f":          "https://a/%C3%A9%2F",
	// Section 6.2.2.2: percent-encoding; %25 is not decoded twice.
	"https://a/%7Euser%2D%2e%5F%41%7a%30": "https://a/~user-._Az0",
	"https://a/%2541":                     "https://a/%2541",
	"https://a/%20%3F%23":                 "https://a/%20%3F%23",
	// Section 6.2.2.3: dot segments, encoded ones too.
	"https://a/b/./c/../d":           "https://a/b/d",
	"https://a/b/%2E%2e/c":           "https://a/c",
	"https://a/../../b":              "https://a/b",
	"https://a/b/..":                 "https://a/",
	"https://a/b/c/..":               "https://a/b/",
	"https://a/b/.":                  "https://a/b/",
	"https://a/.":                    "https://a/",
	"https://a/..":                   "https://a/",
	"https://a/b//../c":              "https://a/b/c",
	"https://a/b//c":                 "https://a/b//c",
	"https://a/.b/..c/...":           "https://a/.b/..c/...",
	"https://a/.well-known/x/../../": "https://a/",
	// Section 6.2.3: scheme.
	"https://a":        "https://a/",
	"https://a:443/":   "https://a/",
	"https://a:/":      "https://a/",
	"https://a:0443/":  "https://a/",
	"https://a:80/":    "https://a:80/",
	"http://a:80/":     "http://a/",
	"http://a:443/":    "http://a:443/",
	"https://a:50051":  "https://a:50051/",
	"https://a:65535/": "https://a:65535/",
	// Hosts.
	"https://127.0.0.1:8443/a":          "https://127.0.0.1:8443/a",
	"https://[::1]:8443/a":              "https://[::1]:8443/a",
	"https://[2001:DB8:0:0:0:0:0:1]":    "https://[2001:db8::1]/",
	"https://[::1]:443":                 "https://[::1]/",
	"https://[::1]:":                    "https://[::1]/",
	"https://orders_svc.shop.internal.": "https://orders_svc.shop.internal./",
	"https://my-api.example.com/Zz":     "https://my-api.example.com/Zz",
	"https://AZ-az.09/AZaz09":           "https://az-az.09/AZaz09",
	"https://a/%5A%39%2D":               "https://a/Z9-",
	"https://a/%3A%2F%40%5B%60%7B":      "https://a/%3A%2F%40%5B%60%7B",
	// RFC 9449, section 4.3, item 9.
	"https://a/b?c=d":     "https://a/b",
	"https://a/b#c":       "https://a/b",
	"https://a?b/c":       "https://a/",
	"https://a#b?c":       "https://a/",
	"https://a/b?\x00#\n": "https://a/b",
	// pchar.
	"https://a/!$&'()*+,;=:@-._~": "https://a/!$&'()*+,;=:@-._~",
}

var noURIs = []string{
	"", "a", "/", "//a/b", "https:", "https:/a/b", "https://", "https:///b", "https://?b", "https://:443/",
	"ftp://a/", "grpc://a/", "dns:///a", "://a/", " https://a/", "https ://a/", "javascript://a/",
	"https://user@a/", "https://user:password@a/", "https://@a/",
	"https://a b/", "https://a%41/", "https://ü.example/", "https://a\\b/", "https://a\x00/", "https://a,b/", "https://*/",
	"https://a:b/", "https://a:-1/", "https://a:+1/", "https://a:0/", "https://a:65536/", "https://a:1:2/", "https://a:1_0/",
	"https://[::1/", "https://[]/", "https://[::1]a/", "https://[::1]443/", "https://[127.0.0.1]/", "https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://::1/", "https://[v1.a]/",
	"https://a/ b", "https://a/\\b", "https://a/\n", "https://a/ü", "https://a/\x7f", "https://a/<b>", `https://a/"`, "https://a/[b]", "https://a/{b}", "https://a/a|b", "https://a/^", "https://a/`",
	"https://a/%", "https://a/%4", "https://a/%4g", "https://a/%+1", "https://a/%-1", "https://a/%%41",
	"https://a[b/", "https://a`b/", "https://a{b/", "https://[a/",
	longestURI + "b",
}

// longestURI has 2 KiB.
var longestURI = "https://a/" + strings.Repeat("b", 2<<10-len("https://a/"))

func TestNormalizeURI(t *testing.T) {
	for raw, want := range normalised {
		if got, err := dpop.NormalizeURI(raw); err != nil || got != want {
			t.Errorf("NormalizeURI(%q) = %q, %v; want %q", raw, got, err, want)
		}
	}
	if got, err := dpop.NormalizeURI(longestURI); err != nil || got != longestURI {
		t.Errorf("a URI of 2 KiB: %v", err)
	}
	for _, raw := range noURIs {
		if got, err := dpop.NormalizeURI(raw); err == nil {
			t.Errorf("NormalizeURI(%q) = %q, want an error", raw, got)
		}
	}
}

// FuzzNormalizeURI checks invariants for any text: an accepted URI is its own normal
// form, and net/url reads it as the same host and scheme, without user information,
// query or dot segment.
func FuzzNormalizeURI(f *testing.F) {
	for raw := range normalised {
		f.Add(raw)
	}
	for _, raw := range noURIs {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		normal, err := dpop.NormalizeURI(raw)
		if err != nil {
			return
		}
		if again, err := dpop.NormalizeURI(normal); err != nil || again != normal {
			t.Fatalf("%q is %q, then %q, %v", raw, normal, again, err)
		}
		u, err := url.Parse(normal)
		if err != nil {
			t.Fatalf("%q is %q: %v", raw, normal, err)
		}
		if u.Scheme+"://"+u.Host+u.EscapedPath() != normal || u.User != nil || u.Host == "" {
			t.Errorf("%q is %q, which net/url reads as %#v", raw, normal, u)
		}
		for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
			if segment == "." || segment == ".." {
				t.Errorf("%q is %q", raw, normal)
			}
		}
	})
}

package dpop

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxURI bounds the work on a URI that a proof names.
const maxURI = 2 << 10

var errNotURI = errors.New("dpop: not an absolute http or https URI")

// matchURI reports whether htu, normalised, is one of uris, which are
// normalised already. Most clients write htu as the server does, and one that
// is equal as it stands is its own normal form.
func matchURI(htu string, uris []string) bool {
	if htu == "" {
		return false
	}
	if slices.Contains(uris, htu) {
		return true
	}
	normalized, err := NormalizeURI(htu)
	return err == nil && slices.Contains(uris, normalized)
}

// NormalizeURI returns the one spelling of an absolute http or https URI that RFC 9449,
// section 4.3, compares: without query and fragment (item 9), and normalised by RFC
// 3986, sections 6.2.2 and 6.2.3: scheme and host in lower case, no default port, %XX
// in upper case and only where needed, no dot segments, a path of at least "/". An IPv6
// address is written as in RFC 5952. It is idempotent.
//
// It refuses parts that no gRPC authority has and parsers disagree about: user
// information, % in a host, characters that RFC 3986 does not allow.
func NormalizeURI(raw string) (string, error) {
	if len(raw) > maxURI {
		return "", errNotURI
	}
	if i := strings.IndexAny(raw, "?#"); i >= 0 {
		raw = raw[:i]
	}
	scheme, rest, _ := strings.Cut(raw, "://")
	authority, path := rest, "/"
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	scheme = strings.ToLower(scheme)
	if scheme != "https" && scheme != "http" {
		return "", errNotURI
	}
	host, port, ok := splitAuthority(authority)
	if !ok {
		return "", errNotURI
	}
	if port == "443" && scheme == "https" || port == "80" && scheme == "http" {
		port = ""
	}
	if port != "" {
		host += ":" + port
	}
	if path, ok = normalizePath(path); !ok {
		return "", errNotURI
	}
	return scheme + "://" + host + path, nil
}

// splitAuthority returns the host in lower case and the port without leading
// zeros, or an empty port.
func splitAuthority(authority string) (host, port string, ok bool) {
	if inside, found := strings.CutPrefix(authority, "["); found {
		literal, rest, closed := strings.Cut(inside, "]")
		addr, err := netip.ParseAddr(literal)
		if !closed || err != nil || !addr.Is6() || addr.Zone() != "" || rest != "" && rest[0] != ':' {
			return "", "", false
		}
		host, port = "["+addr.String()+"]", strings.TrimPrefix(rest, ":")
	} else {
		host, port, _ = strings.Cut(authority, ":")
		if host == "" || !allBytes(host, isHostByte) {
			return "", "", false
		}
		host = strings.ToLower(host)
	}
	if port == "" {
		return host, "", true
	}
	number, err := strconv.ParseUint(port, 10, 16)
	return host, strconv.FormatUint(number, 10), err == nil && number != 0
}

// normalizePath takes a path that begins with "/".
func normalizePath(path string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c != '%' {
			if !isPathByte(c) {
				return "", false
			}
			b.WriteByte(c)
			continue
		}
		if i+2 >= len(path) {
			return "", false
		}
		octet, err := strconv.ParseUint(path[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		if isUnreserved(byte(octet)) {
			b.WriteByte(byte(octet))
		} else {
			b.WriteString(strings.ToUpper(path[i : i+3]))
		}
		i += 2
	}
	// Only now: %2E is a dot.
	return removeDotSegments(b.String()), true
}

// removeDotSegments is RFC 3986, section 5.2.4, for a path that begins with "/".
func removeDotSegments(path string) string {
	if !strings.Contains(path, "/.") {
		return path
	}
	var output []string
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		switch segment {
		case ".":
		case "..":
			output = output[:max(len(output)-1, 0)]
		default:
			output = append(output, segment)
			continue
		}
		if i == len(segments)-1 { // "/a/.." is the folder "/"
			output = append(output, "")
		}
	}
	return "/" + strings.Join(output, "/")
}

func allBytes(s string, valid func(byte) bool) bool {
	for i := range len(s) {
		if !valid(s[i]) {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isHostByte knows the names of DNS and IPv4 addresses. RFC 3986 allows more in
// a reg-name; a certificate does not.
func isHostByte(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("-._", c) >= 0 }

func isUnreserved(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("-._~", c) >= 0 }

// isPathByte is pchar of RFC 3986, section 3.3, and the slash between segments.
func isPathByte(c byte) bool { return isUnreserved(c) || strings.IndexByte("!$&'()*+,;=:@/", c) >= 0 }

// Package grammar holds the grammars of the names in a table: full methods of gRPC
// and scopes of OAuth.
package grammar

import "strings"

// IsMethodPattern reports whether key is a full method, "/pkg.Service/Method", or all
// methods of a service, "/pkg.Service/*". A protobuf full name is the service. There
// is one spelling: no missing, repeated or trailing slash (CVE-2026-33186).
func IsMethodPattern(key string) bool {
	rest, ok := strings.CutPrefix(key, "/")
	service, method, found := strings.Cut(rest, "/")
	return ok && found && (method == "*" || IsIdentifier(method)) && IsFieldPath(service)
}

// IsFieldPath reports whether path consists of identifiers joined by dots, as the names
// of nested fields and the full names of protobuf do.
func IsFieldPath(path string) bool {
	for {
		part, rest, more := strings.Cut(path, ".")
		if !IsIdentifier(part) {
			return false
		}
		if !more {
			return true
		}
		path = rest
	}
}

// IsIdentifier reports whether name is an identifier of protobuf: a letter or "_",
// followed by letters, digits and "_".
func IsIdentifier(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// IsScope reports whether name is a scope-token of RFC 6749, section 3.3: printable
// ASCII without space, quote and backslash, and at least one character.
func IsScope(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == '"' || c == '\\' || c > '~' {
			return false
		}
	}
	return name != ""
}

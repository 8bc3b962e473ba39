package auth0grpcfga

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// User returns the user of a subject in the form of OpenFGA: a type, ":" and the subject.
// It percent-encodes "%", ":", "#", "*", "@", white space, controls and bytes that are not
// UTF-8, so that no subject can be a userset, a wildcard or a user of another type.
//
//	User("user", "auth0|ann") // "user:auth0|ann"
func User(userType, subject string) string { return userType + ":" + escape(subject) }

const hexDigits = "0123456789ABCDEF"

func escape(subject string) string {
	if !strings.ContainsFunc(subject, isSpecial) {
		return subject
	}
	var b strings.Builder
	for len(subject) > 0 {
		r, size := utf8.DecodeRuneInString(subject)
		for i := range size {
			if isSpecial(r) {
				b.WriteByte('%')
				b.WriteByte(hexDigits[subject[i]>>4])
				b.WriteByte(hexDigits[subject[i]&15])
			} else {
				b.WriteByte(subject[i])
			}
		}
		subject = subject[size:]
	}
	return b.String()
}

// isSpecial reports whether a character is encoded. A byte that is not UTF-8 decodes as
// utf8.RuneError.
func isSpecial(r rune) bool {
	return strings.ContainsRune("%:#*@", r) || unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError
}

package auth0grpc

import "github.com/auth0grpc/auth0grpc/internal/strictjson"

// A confirmation is the cnf claim (RFC 7800), which binds the token to its sender.
type confirmation struct {
	jkt            string // jkt: the thumbprint of a DPoP key
	certThumbprint string // x5t#S256: the hash of a client certificate
	understood     bool   // has one of the two
	empty          bool   // has an empty one: bound, and no proof can match
}

// noConfirmation is the confirmation of a token without cnf.
var noConfirmation = &confirmation{}

// parseConfirmation ignores unknown members: RFC 7800, section 3.1.
// [bindingChecker.refuseConfirmation] refuses a cnf that has only unknown ones.
func parseConfirmation(value string) (*confirmation, bool) {
	cnf := &confirmation{}
	err := strictjson.Nested(value, func(name, value string) error {
		var text string
		var ok bool
		switch name {
		case "jkt":
			text, ok = strictjson.String(value)
			cnf.jkt = text
		case "x5t#S256":
			text, ok = strictjson.String(value)
			cnf.certThumbprint = text
		default:
			return nil
		}
		if !ok {
			return errClaimType
		}
		cnf.understood = true
		cnf.empty = cnf.empty || text == ""
		return nil
	})
	return cnf, err == nil
}

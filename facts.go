package auth0grpc

import "google.golang.org/grpc/codes"

// Facts are the properties of a call that the row of a table can depend on.
// [Candidate.Decide] decides by them alone, long after the call. They contain no token,
// no secret, no proof and no subject. They name the client, the organization and the
// actor, which may be a person. The zero Facts state nothing.
type Facts struct {
	// ReportOnly is [Config.ReportOnly].
	ReportOnly ReportOnlyMode

	// Refused is the reason why each row refuses the call that looks at its token, as
	// TOKEN_EXPIRED or MISSING_TOKEN, and Code is the status code. Code is OK if the token
	// is valid. Refused is "" if the caller left before the verdict; Code is then Canceled
	// or DeadlineExceeded.
	Refused Reason
	Code    codes.Code

	// Verified reports that the token is valid and that the caller proved its binding. The
	// fields below are then set. Refused may be set too: a stray DPoP proof spoils a call.
	Verified bool

	// DPoPScheme reports that the token came under the scheme DPoP and not Bearer.
	DPoPScheme bool
	// DPoP and MTLS report that the token is bound to a key or to a certificate.
	DPoP, MTLS bool

	// Scopes, Permissions, ClientID and OrganizationID are claims of the token, as
	// [Token.Scopes], [Token.Permissions], [Token.ClientID] and [Token.OrganizationID]
	// return them.
	Scopes, Permissions      []string
	ClientID, OrganizationID string
	// Actor is the actor that [ActedBy] compares: "" without one, and for an actor of
	// another issuer.
	Actor string
	// Delegated reports that the token names an actor, of any issuer.
	Delegated bool
	// Anonymous is the result of [Token.IsAnonymous].
	Anonymous bool

	// MetRules are the rules about the request message that the call was found to meet,
	// as Decision.Rule shows them. UnmetRule is the first one that it does not meet. A
	// rule in neither was not evaluated: on a stream, because its messages come later.
	MetRules  []string
	UnmetRule string

	// Incomplete reports that a log left out some of the facts.
	Incomplete bool
}

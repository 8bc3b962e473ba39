package auth0grpc

import (
	"time"

	"google.golang.org/grpc/codes"
)

// An Outcome is the result of a call or of a stream.
type Outcome string

// The outcomes of a Decision.
const (
	OutcomeAllowed  Outcome = "allowed"  // the handler runs
	OutcomeRefused  Outcome = "refused"  // the handler does not run
	OutcomeReported Outcome = "reported" // it would have been refused, but report-only mode let it pass
	OutcomeEnded    Outcome = "ended"    // a stream that was opened with a token has ended
)

// A Decision is the argument of [Config.OnDecision]: one for each call, and one more
// when a stream that was opened with a token has ended. It contains no token, and only
// the claims that identify the caller.
type Decision struct {
	// FullMethod is the method as gRPC names it. If the table does not list it, it is
	// text of the client's choice: use Row for metric labels.
	FullMethod string
	// Row is the key of the row that applied: a key of [Config.Methods], or "" if the
	// method is not listed.
	Row     string
	Outcome Outcome
	// Reason is why the call was refused or reported, and for [OutcomeEnded] why the
	// stream was ended. It is "" if the call was allowed, if the stream ended by
	// itself, or if the caller left before the verdict; Code shows which.
	Reason Reason
	// Rule is the rule about the request message that the call did not meet, as the
	// printed table shows it: "same(org_id = organization)". It is "" for all others.
	Rule string
	// Code is the status code sent with the reason. For [OutcomeReported] it is the
	// code that would have been sent.
	Code codes.Code

	// Subject, ClientID, Issuer and OrganizationID are claims of the verified token.
	// All are empty if no token was verified.
	Subject, ClientID, Issuer, OrganizationID string

	// Actor is the party that acts for the subject, see [Token.Actor]; "" if the issuer
	// named none.
	Actor string

	// Peer is the address of the connection, which may be a proxy's. It is set only for
	// refused, reported and ended calls with a Reason, and only if
	// [Config.DescribeRefused] is. Calls of [Interceptor.Check] have one if the package
	// google.golang.org/grpc/peer put it into their context.
	Peer string
	// UnverifiedClientID and UnverifiedAudience are the claims of a token that is not
	// verified: the caller may have written anything. Several audiences are separated
	// by spaces. Each is cut after 128 bytes, and "?" replaces every byte other than
	// printable ASCII. They are set as Peer is, unless the token was verified. Never
	// decide by them, nor use them as metric labels.
	UnverifiedClientID, UnverifiedAudience string

	// Policy is the fingerprint of the table that decided, as [Stats] has it.
	Policy string
	// Candidate is the decision of the table of [Interceptor.SetCandidate], if its
	// outcome differs. Otherwise it is zero.
	Candidate CandidateDecision
	// Facts are the properties of the call that a table can depend on, for
	// [Candidate.Decide]. They are nil without [Config.RecordFacts], and for all that
	// happens to an open stream.
	Facts *Facts

	// KeyID is the id of the key that signed the verified token.
	KeyID string
	// CacheHit reports that the token was verified before.
	CacheHit bool
	// Duration is how long the decision took, and for [OutcomeEnded] how long the
	// stream was open.
	Duration time.Duration
}

// A CandidateDecision is the decision that the table of [Interceptor.SetCandidate] or of a
// [Candidate] would make on a call.
type CandidateDecision struct {
	Policy  string     // the fingerprint of the candidate table
	Row     string     // the key of the row that would decide, or ""
	Outcome Outcome    // in a Decision it differs from the Outcome there
	Reason  Reason     // why the call would be refused or reported, or ""
	Code    codes.Code // the status code that would go with the reason
}

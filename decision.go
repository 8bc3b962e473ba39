package auth0grpc

import (
	"time"

	"google.golang.org/grpc/codes"
)

// An Outcome is what became of a call or of a stream.
type Outcome string

// The outcomes of a Decision.
const (
	OutcomeAllowed  Outcome = "allowed"  // the handler runs
	OutcomeRefused  Outcome = "refused"  // the handler does not run
	OutcomeReported Outcome = "reported" // it would have been refused, and the handler runs all the same
	OutcomeEnded    Outcome = "ended"    // a stream that was opened with a token is over
)

// A Decision is what Config.OnDecision is told: once for each call, and once
// more when a stream that was opened with a token is over. It has no token and
// no claims but the four that say who called.
type Decision struct {
	// FullMethod is the method as gRPC names it. Where the table lists no such
	// method it is what a client made up, as long as gRPC let it pass: use Row for
	// metric labels.
	FullMethod string
	// Row is the key of the row that decided: one of Config.Methods, or "" for a
	// method that is not listed.
	Row     string
	Outcome Outcome
	// Reason is why the call was refused or reported, and for OutcomeEnded why the
	// stream was ended; "" for one that was allowed or that ended by itself, and for
	// a caller that left before there was a verdict, which Code tells.
	Reason Reason
	// Code is the status code that goes, or with OutcomeReported would have gone,
	// with the reason.
	Code codes.Code

	// Subject, ClientID, Issuer and OrganizationID are those of the verified
	// token; all are empty where none was verified.
	Subject, ClientID, Issuer, OrganizationID string

	// KeyID is the id of the key that signed the verified token.
	KeyID string
	// CacheHit reports that the token was verified before.
	CacheHit bool
	// Duration is how long the decision took, and for OutcomeEnded how long the
	// stream was open.
	Duration time.Duration
}

package auth0grpc

import (
	"time"

	"github.com/auth0grpc/auth0grpc/internal/units"
)

// A StreamPolicy sets what happens to an open stream when its token expires. The zero
// StreamPolicy means [EndAtExpiry] in a [Config], and the policy of the Config in a
// [Rule].
type StreamPolicy struct {
	kind  streamKind
	grace time.Duration
}

type streamKind int

const (
	endAtExpiry streamKind = iota + 1
	endAfter
	ignoreExpiry
)

// EndAtExpiry ends the stream when its token expires, plus Config.ClockSkew.
func EndAtExpiry() StreamPolicy { return StreamPolicy{kind: endAtExpiry} }

// EndAfter ends the stream a while after its token has expired, so that a client
// can finish its work and reopen. grace must be at least one millisecond.
func EndAfter(grace time.Duration) StreamPolicy { return StreamPolicy{kind: endAfter, grace: grace} }

// IgnoreExpiry lets the stream continue until its handler returns. [Interceptor.Revoke]
// still ends it.
func IgnoreExpiry() StreamPolicy { return StreamPolicy{kind: ignoreExpiry} }

// String returns the policy in the form of the printed table.
func (p StreamPolicy) String() string {
	switch p.kind {
	case endAfter:
		return "streams end " + p.grace.String() + " after expiry"
	case ignoreExpiry:
		return "streams run on"
	}
	return "streams end at expiry"
}

func (p StreamPolicy) explain() string {
	switch {
	case p.kind != endAfter:
		return ""
	case p.grace <= 0:
		return "want a positive grace; EndAtExpiry has none"
	}
	return units.TooShort(p.grace, time.Millisecond)
}

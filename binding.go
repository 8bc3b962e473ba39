package auth0grpc

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/dpop"
	"github.com/auth0grpc/auth0grpc/internal/jws"
)

// A BindingMode says what is asked of tokens by way of a binding to their sender
// (a cnf claim), by DPoP or by a client certificate. A bound token is never
// accepted without its proof, whatever the mode: presented without, it may be
// stolen.
type BindingMode int

// The modes of a binding.
const (
	BindingDisabled BindingMode = iota // the binding is not checked here, so tokens that have it are refused
	BindingAllowed                     // tokens with and without the binding are accepted
	BindingRequired                    // every token must have the binding
)

// DPoP says how tokens bound to a key of the client (cnf.jkt) are handled: RFC
// 9449. A call then carries "authorization: DPoP <token>" and one "dpop" value
// with a proof made for this call.
type DPoP struct {
	// Mode is BindingDisabled by default. Rule.RequireDPoP asks for it on one row.
	Mode BindingMode

	// Authorities are the addresses that clients call this server by, with scheme
	// and port where it is not the default: "https://api.example.com". A proof is
	// for one of them and the full method; what the client says its address was
	// does not count. Required unless disabled.
	Authorities []string

	// Algorithms are those that proofs may be signed with. Default ES256.
	Algorithms []string

	// MaxAge and MaxAhead are how old a proof may be and how far ahead its clock.
	// Defaults 300 s and 30 s, those of Auth0's own middleware.
	MaxAge, MaxAhead time.Duration

	// Replay remembers the proofs that were used. Default: NewReplayStore with room
	// for 1,000,000. Several replicas need one that they share, or a proof can be
	// used once at each.
	Replay ReplayStore

	// NonceKeys switches on nonces that proofs must contain (RFC 9449, section 9);
	// they limit how long in advance a proof can be made. The first key issues, all
	// verify, and replicas share them; at least 32 random bytes each. Default: no
	// nonces.
	NonceKeys [][]byte

	// NonceLife is how long a nonce is good. Default 5 minutes.
	NonceLife time.Duration
}

// MTLS says how tokens bound to a client certificate (cnf x5t#S256) are handled:
// RFC 8705. Auth0 documents both schemes for them, so both are accepted.
type MTLS struct {
	// Mode is BindingDisabled by default. Rule.RequireMTLS asks for it on one row.
	Mode BindingMode

	// Certificate yields the client's certificate where TLS ends at a proxy in front
	// of this server; it must take it from a place that only the proxy can write to.
	// Nil with a nil error means none. Default: the certificate of the connection.
	Certificate func(context.Context) (*x509.Certificate, error)
}

// A ReplayStore remembers which DPoP proofs were used. NewReplayStore has one for
// a single process; module auth0grpcredis has one that replicas share.
type ReplayStore interface {
	// Use records id until the given time and reports whether this is its first
	// use: of all the concurrent uses of one id exactly one is. An error refuses
	// the call as Unavailable.
	Use(ctx context.Context, id string, until time.Time) (first bool, err error)
}

// NewReplayStore returns a ReplayStore in this process for at most capacity live
// proofs, about 70 bytes each as they come. It is exact within their time and
// fails, which refuses calls, when it is full. A nil now is time.Now.
func NewReplayStore(capacity int, now func() time.Time) ReplayStore {
	return dpop.NewMemory(capacity, now)
}

const (
	defaultReplayCapacity = 1_000_000
	defaultNonceLife      = 5 * time.Minute
)

// bindingFaults are the faults of Config.DPoP and Config.MTLS.
func (c *Config) bindingFaults() []*ConfigError {
	var faults []*ConfigError
	fault := func(field, value, reason string) {
		faults = append(faults, &ConfigError{field, value, reason})
	}
	for field, mode := range map[string]BindingMode{"DPoP.Mode": c.DPoP.Mode, "MTLS.Mode": c.MTLS.Mode} {
		if mode < BindingDisabled || mode > BindingRequired {
			fault(field, fmt.Sprint(int(mode)), "want BindingDisabled, BindingAllowed or BindingRequired")
		}
	}
	if c.DPoP.Mode == BindingDisabled {
		return faults
	}
	if len(c.DPoP.Authorities) == 0 {
		fault("DPoP.Authorities", "", `is required: the address that clients call, "https://api.example.com"`)
	}
	for i, authority := range c.DPoP.Authorities {
		if reason := authorityFault(authority); reason != "" {
			fault(fmt.Sprintf("DPoP.Authorities[%d]", i), authority, reason)
		}
	}
	for i, alg := range c.DPoP.Algorithms {
		if !slices.Contains(jws.Algorithms(), alg) {
			fault(fmt.Sprintf("DPoP.Algorithms[%d]", i), alg, "want one of "+strings.Join(jws.Algorithms(), ", "))
		}
	}
	if c.DPoP.MaxAge < 0 || c.DPoP.MaxAhead < 0 {
		fault("DPoP.MaxAge", c.DPoP.MaxAge.String(), "MaxAge and MaxAhead want to be positive, or 0 for the default")
	}
	if len(c.DPoP.NonceKeys) > 0 {
		if _, err := dpop.NewNonces(c.DPoP.NonceKeys, c.DPoP.NonceLife); err != nil {
			fault("DPoP.NonceKeys", "", err.Error())
		}
	}
	return faults
}

func authorityFault(authority string) string {
	const form = `want scheme and authority alone, "https://api.example.com"`
	if _, err := dpop.NormalizeURI(authority); err != nil {
		return form
	}
	if u, err := url.Parse(authority); err != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return form
	}
	return ""
}

// ruleBindingFaults are the rows that ask for a binding that is disabled.
func (b *binder) ruleBindingFaults(t *table) []*ConfigError {
	var faults []*ConfigError
	for _, r := range t.rows() {
		if r.rule.requireDPoP && (b == nil || b.dpop == BindingDisabled) || r.rule.requireMTLS && (b == nil || b.mtls == BindingDisabled) {
			faults = append(faults, &ConfigError{fmt.Sprintf("Methods[%q]", r.pattern), r.rule.String(), "asks for a binding whose Config.DPoP.Mode or Config.MTLS.Mode is BindingDisabled"})
		}
	}
	return faults
}

package auth0grpc

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/dpop"
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

// DPoPConfig says how tokens bound to a key of the client (cnf.jkt) are handled: RFC
// 9449. A call then carries "authorization: DPoP <token>" and one "dpop" value
// with a proof made for this call.
type DPoPConfig struct {
	// Mode is BindingDisabled by default. Rule.RequireDPoP asks for it on one row.
	Mode BindingMode

	// Authorities are the addresses that clients call this server by, with scheme
	// and port where it is not the default: "https://api.example.com". A proof is
	// for one of them and the full method; what the client says its address was
	// does not count. Required unless disabled.
	Authorities []string

	// Algorithms are those that proofs may be signed with. Default ES256.
	Algorithms []string

	// MaxProofAge and MaxProofSkew are how old a proof may be and how far ahead its clock.
	// Defaults 300 s and 30 s, those of Auth0's own middleware.
	MaxProofAge, MaxProofSkew time.Duration

	// ReplayStore remembers the proofs that were used. Default: NewReplayStore with room
	// for 1,000,000. Several replicas need one that they share, or a proof can be
	// used once at each.
	ReplayStore ReplayStore

	// NonceKeys switches on nonces that proofs must contain (RFC 9449, section 9);
	// they limit how long in advance a proof can be made. The first key issues, all
	// verify, and replicas share them; at least 32 random bytes each. Default: no
	// nonces.
	NonceKeys NonceKeys

	// NonceLifetime is how long a nonce is good. Default 5 minutes.
	NonceLifetime time.Duration
}

// NonceKeys are secrets that print, log and marshal as their number and no more. A
// plain [][]byte is assignable. (Package fmt prints unexported fields of a struct
// without asking their types, so keep a Config in an exported field or not at all.)
type NonceKeys [][]byte

// String returns the number of keys.
func (k NonceKeys) String() string { return fmt.Sprintf("(%d keys, not shown)", len(k)) }

// Format prints String for every verb.
func (k NonceKeys) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) }

// LogValue returns String for log/slog.
func (k NonceKeys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText returns String, for encoding/json and its like. Nothing reads it back.
func (k NonceKeys) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MTLSConfig says how tokens bound to a client certificate (cnf x5t#S256) are handled:
// RFC 8705. Auth0 documents both schemes for them, so both are accepted.
type MTLSConfig struct {
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
// proofs, about 80 bytes each. It is exact within their time, and fails, which
// refuses calls, when it is full. A nil now is time.Now.
//
// With the default DPoPConfig.MaxProofAge a proof takes a place for 300 s, so
// 1,000,000 places are enough for 3,300 calls a second. A key may have at most half
// as many places as are free: one key takes a third of the capacity, 1,100 calls a
// second, and the other keys keep the rest. [Stats] has the fill level.
func NewReplayStore(capacity int, now func() time.Time) ReplayStore {
	return dpop.NewMemory(capacity, now)
}

const (
	defaultReplayCapacity = 1_000_000
	defaultNonceLife      = 5 * time.Minute
)

// normalAuthority returns an authority without fault as it stands before the full
// method in a normalised htu.
func normalAuthority(authority string) string {
	normal, _ := dpop.NormalizeURI(authority)
	return strings.TrimSuffix(normal, "/")
}

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

// A BindingMode sets whether tokens must be bound to their sender (a cnf claim), by
// DPoP or by a client certificate. In every mode a bound token without its proof is
// refused: it may be stolen.
type BindingMode int

// The modes of a binding.
const (
	BindingDisabled BindingMode = iota // the binding is not checked here, so tokens that have it are refused
	BindingAllowed                     // tokens with and without the binding are accepted
	BindingRequired                    // every token must have the binding
)

// DPoPConfig configures tokens bound to a key of the client (cnf.jkt): RFC 9449. A call
// then carries "authorization: DPoP <token>" and one "dpop" value with a proof made for
// this call.
type DPoPConfig struct {
	// Mode is [BindingDisabled] by default. [Rule.RequireDPoP] requires DPoP on one
	// row.
	Mode BindingMode

	// Authorities are the addresses that clients use for this server, with scheme and
	// any port that is not the default: "https://api.example.com". A proof must name
	// one of them and the full method. The address that the client claims to have used
	// is ignored. Required unless disabled.
	Authorities []string

	// Algorithms are the accepted algorithms of proofs. Default ES256.
	Algorithms []string

	// MaxProofAge and MaxProofSkew set how old a proof may be and how far its clock may
	// be ahead. Defaults 300 s and 30 s, as in Auth0's own middleware.
	MaxProofAge, MaxProofSkew time.Duration

	// ReplayStore remembers the proofs that were used. Default: [NewReplayStore] with
	// room for 1,000,000. Several replicas need a shared store, or a proof can be used
	// once at each.
	ReplayStore ReplayStore

	// NonceKeys enables nonces that proofs must contain (RFC 9449, section 9); they
	// limit how long in advance a proof can be made. The first key issues nonces, all
	// keys verify them, and replicas share them; at least 32 random bytes each.
	// Default: no nonces.
	NonceKeys NonceKeys

	// NonceLifetime is how long a nonce is accepted. Default 5 minutes.
	NonceLifetime time.Duration
}

// NonceKeys are secret keys. They print, log and marshal only as their number. A plain
// [][]byte is assignable. (Package fmt prints unexported fields of a struct without
// calling their methods. So keep a [Config] in an exported field or in none.)
type NonceKeys [][]byte

// String returns the number of keys.
func (k NonceKeys) String() string { return fmt.Sprintf("(%d keys, not shown)", len(k)) }

// Format prints String for every verb.
func (k NonceKeys) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) }

// LogValue returns String for log/slog.
func (k NonceKeys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText returns String, for encoding/json and other encoders. It cannot be
// decoded.
func (k NonceKeys) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MTLSConfig configures tokens bound to a client certificate (cnf x5t#S256): RFC 8705.
// Auth0 documents both schemes for them, so both are accepted.
type MTLSConfig struct {
	// Mode is [BindingDisabled] by default. [Rule.RequireMTLS] requires mutual TLS on
	// one row.
	Mode BindingMode

	// Certificate returns the client's certificate if a proxy in front of this server
	// terminates TLS. It must read the certificate from a place that only the proxy can
	// write to. Nil with a nil error means no certificate. Default: the certificate of
	// the connection.
	Certificate func(context.Context) (*x509.Certificate, error)
}

// A ReplayStore remembers which DPoP proofs were used. [NewReplayStore] returns a store
// for a single process; module auth0grpcredis has a store that replicas share.
type ReplayStore interface {
	// Use records id until the given time and reports whether this is its first
	// use: of all the concurrent uses of one id exactly one is. An error refuses
	// the call as Unavailable.
	Use(ctx context.Context, id string, expiry time.Time) (firstUse bool, err error)
}

// NewReplayStore returns a [ReplayStore] in this process for at most capacity live
// proofs, about 80 bytes each. It is exact within their time. If it is full, it fails,
// and calls are refused. A nil now means time.Now.
//
// With the default [DPoPConfig.MaxProofAge] a proof takes a place for 300 s, so
// 1,000,000 places are enough for 3,300 calls a second. A key may have at most half as
// many places as are free: one key takes a third of the capacity, 1,100 calls a second,
// and the other keys keep the rest. [Stats] has the fill level.
func NewReplayStore(capacity int, now func() time.Time) ReplayStore {
	return dpop.NewReplayMemory(capacity, now)
}

const (
	defaultReplayCapacity = 1_000_000
	defaultNonceLife      = 5 * time.Minute
)

// normalizeAuthority returns a valid authority in the form that it has before the full
// method in a normalised htu.
func normalizeAuthority(authority string) string {
	normalized, _ := dpop.NormalizeURI(authority)
	return strings.TrimSuffix(normalized, "/")
}

package dpop

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/base64url"
)

const (
	// nonceContext keeps a key that is also used elsewhere from signing nonces.
	nonceContext = "dpop nonce 1\x00"
	// macSize is the 128 bits that RFC 2104, section 5, allows to truncate to: a
	// forger has one try in 2^128 per request, and nothing to search offline.
	macSize   = 16
	nonceSize = 8 + macSize
	minKeyLen = 32
	// replicaSkew is how far ahead the clock of another replica may be.
	replicaSkew = 30 * time.Second
)

// Nonces issues and checks nonces of a resource server (RFC 9449, section 9) without
// storing any: a nonce is the second of its issue, authenticated with HMAC-SHA-256
// under keys that replicas share. It proves that a proof was made after the nonce was
// issued, and not that the nonce is used once: RFC 9449, section 8, lets a client use
// one until it receives the next. The jti makes a proof unique, and [ReplayMemory]
// checks it. Nonces is immutable and safe for concurrent use.
type Nonces struct {
	keys [][]byte
	life time.Duration
}

// NewNonces returns Nonces that last for life, at least a second. The first key
// issues, all keys check: to rotate, add the new key last everywhere, then move
// it first, then remove the old one after life. Each key has at least 32 bytes,
// random ones. The error reports every wrong argument, and no key.
func NewNonces(keys [][]byte, life time.Duration) (*Nonces, error) {
	var errs []error
	if len(keys) == 0 {
		errs = append(errs, errors.New("dpop: no nonce key"))
	}
	if life < time.Second {
		errs = append(errs, errors.New("dpop: nonce life is under a second"))
	}
	n := &Nonces{life: life}
	for i, key := range keys {
		if len(key) < minKeyLen {
			errs = append(errs, fmt.Errorf("dpop: nonce key %d has less than %d bytes", i, minKeyLen))
		}
		n.keys = append(n.keys, slices.Clone(key))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return n, nil
}

// Issue returns the nonce of now: 32 characters of base64url.
func (n *Nonces) Issue(now time.Time) string {
	nonce := make([]byte, 8, nonceSize)
	binary.BigEndian.PutUint64(nonce, uint64(now.Unix()))
	return base64url.Encode(append(nonce, mac(n.keys[0], nonce)...))
}

// Check reports whether nonce was issued under one of the keys, no longer than life
// before now. It takes the same time for every nonce of the right form and age, which
// are not secret.
func (n *Nonces) Check(now time.Time, nonce string) bool {
	raw, ok := base64url.Decode(nonce)
	if !ok || len(raw) != nonceSize {
		return false
	}
	issued := time.Unix(int64(binary.BigEndian.Uint64(raw)), 0)
	if issued.Before(now.Add(-n.life)) || issued.After(now.Add(replicaSkew)) {
		return false
	}
	equal := 0
	for _, key := range n.keys {
		equal |= subtle.ConstantTimeCompare(mac(key, raw[:8]), raw[8:])
	}
	return equal == 1
}

func mac(key, timestamp []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(nonceContext))
	h.Write(timestamp)
	return h.Sum(nil)[:macSize]
}

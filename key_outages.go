package auth0grpc

import (
	"log/slog"
	"sync"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// reportDelay bounds how much later than the next attempt an attempt is reported. A
// greater difference shows that the clock was set back.
const reportDelay = time.Minute

// keyOutages logs one warning when the keys of an issuer become unavailable, and one
// when they can be fetched again. The zero value is ready for use.
type keyOutages struct {
	mu       sync.Mutex
	byIssuer map[string]keyOutage
}

// A keyOutage is the last attempt to fetch the keys of an issuer.
type keyOutage struct {
	at     time.Time
	failed bool
}

// warn logs r if it begins or ends an outage. Attempts may be reported in another order
// than they ended in; an earlier one changes nothing.
func (k *keyOutages) warn(logger *slog.Logger, r *keyset.Refresh) {
	if !k.record(r) {
		return
	}
	if r.Err == nil {
		logger.Warn("auth0grpc: the keys of an issuer are available again", "issuer", r.Issuer, "keys", r.Keys)
		return
	}
	logger.Warn("auth0grpc: the keys of an issuer cannot be fetched", "issuer", r.Issuer, "keys", r.Keys, "error", r.Err)
}

// record stores the attempt and reports whether it begins or ends an outage.
func (k *keyOutages) record(r *keyset.Refresh) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	last := k.byIssuer[r.Issuer]
	if late := last.at.Sub(r.At); late > 0 && late < reportDelay {
		return false
	}
	if k.byIssuer == nil {
		k.byIssuer = map[string]keyOutage{}
	}
	k.byIssuer[r.Issuer] = keyOutage{at: r.At, failed: r.Err != nil}
	return last.failed != (r.Err != nil)
}

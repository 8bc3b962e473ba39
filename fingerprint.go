package auth0grpc

import (
	"crypto/sha256"
	"encoding/hex"
)

// newFingerprint returns a short name for the content of a table. It distinguishes
// versions of a table. It is no protection: 64 bits do not stop an attacker, who would
// have to be the author of a table.
func newFingerprint(t *table) string {
	hash := sha256.New()
	for _, r := range t.sorted() {
		hash.Write([]byte(r.pattern + " "))
		hash.Write(append(r.rule.appendJSON(nil), '\n'))
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

package relation

import (
	"crypto/sha256"
	"encoding/binary"
)

// A Key is a question: everything that an answer may depend on.
type Key struct {
	Issuer, Subject, Client, Organization, Actor string
	Relation, Object                             string
}

// A digest names a question. SHA-256 has no known collisions, so no second question can
// be found for a cached answer. Its size does not depend on names that callers choose.
type digest [sha256.Size]byte

func (k *Key) digest() digest {
	var buffer [512]byte
	text := buffer[:0]
	for _, part := range [...]string{k.Issuer, k.Subject, k.Client, k.Organization, k.Actor, k.Relation, k.Object} {
		// With its length in front, no part can contain the beginning of the next.
		text = binary.AppendUvarint(text, uint64(len(part)))
		text = append(text, part...)
	}
	return sha256.Sum256(text)
}

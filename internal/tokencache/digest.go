package tokencache

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"math/bits"
	"sync"
	"unsafe"
)

// A digest names a token in one cache.
type digest [sha256.Size]byte

// A digester computes the digests of a cache. It is made by newDigester and is safe for
// concurrent use.
//
// A digest is the GMAC of the token (NIST SP 800-38D) under a random key that never
// leaves the process. It takes a third of the time of SHA-256, which would be most of a
// call with a known token. The nonce is always the same, which would be wrong for a MAC
// that strangers see. No digest leaves the process either, so only the universal hash in
// it counts: two texts of n blocks of 16 bytes have the same digest for (n+1)/2^128 of
// the keys. A stranger who tries 2^40 forged tokens of 16 KiB at a cache of 10,000 tokens
// finds one with a probability of 2^-64, and only a call that succeeds would tell.
//
// gRPC has the same string for a token that a connection repeats, and a memo by its address
// would save the hash. There is none. A weak pointer to a string that is not on the heap
// ends the process (Go 1.26), a strong one would keep the token, and adapters such as
// fasthttp's make the strings of each request in the same memory: one caller would get
// the claims of another.
type digester struct {
	aead    cipher.AEAD // nil: SHA-256
	nonce   [12]byte
	buffers sync.Pool // of *digest: a buffer of the caller would escape to the heap
}

func newDigester() *digester {
	d := &digester{buffers: sync.Pool{New: func() any { return new(digest) }}}
	if bits.UintSize < 64 {
		return d // GCM has no machine code there: it would take three times as long as SHA-256
	}
	var key [aes.BlockSize]byte
	rand.Read(key[:])
	if block, err := aes.NewCipher(key[:]); err == nil {
		d.aead, _ = cipher.NewGCM(block) // an error under GODEBUG=fips140=only, which forbids a nonce of one's own
	}
	return d
}

// digest hashes the token where it lies: both functions only read, and a copy would
// cost more than the rest of a hit.
func (d *digester) digest(raw string) digest {
	bytes := unsafe.Slice(unsafe.StringData(raw), len(raw))
	if d.aead == nil {
		return sha256.Sum256(bytes)
	}
	buffer := d.buffers.Get().(*digest)
	d.aead.Seal(buffer[:0], d.nonce[:], nil, bytes)
	sum := *buffer
	d.buffers.Put(buffer)
	return sum
}

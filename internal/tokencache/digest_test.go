package tokencache

import (
	"crypto/sha256"
	"math/bits"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// Texts that differ have different digests, and equal texts the same, wherever they lie.
func TestDigest(t *testing.T) {
	for name, d := range map[string]*digester{"GMAC": newDigester(), "SHA-256": {}} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			texts := map[digest]string{}
			for _, size := range []int{0, 1, 15, 16, 17, 900, 4096, 16 << 10} {
				text := []byte(strings.Repeat("x", size))
				for range 200 {
					if sum := d.digest(string(text)); sum != d.digest(string(text)) {
						t.Fatalf("two digests for a text of %d bytes", size)
					} else if other, ok := texts[sum]; ok && other != string(text) {
						t.Fatalf("one digest for texts of %d and %d bytes", len(other), size)
					} else {
						texts[sum] = string(text)
					}
					if size > 0 {
						text[random.IntN(size)] ^= byte(1 << random.IntN(8))
					}
				}
			}
		})
	}
}

// Each cache has a secret of its own, and without one the digest is SHA-256.
func TestDigestIsSecret(t *testing.T) {
	const text = "header.payload.signature"
	one, other := newDigester(), newDigester()
	if os.Getenv("GODEBUG") == fipsOnly || bits.UintSize < 64 {
		if one.aead != nil || one.digest(text) != sha256.Sum256([]byte(text)) {
			t.Error("the digest is not SHA-256")
		}
		return
	}
	if one.digest(text) == other.digest(text) || one.digest(text) == sha256.Sum256([]byte(text)) {
		t.Error("the digest depends on the text alone")
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^Test(DigestIsSecret|Probe|Weight)$")
	again.Env = append(os.Environ(), "GODEBUG="+fipsOnly)
	if output, err := again.CombinedOutput(); err != nil {
		t.Errorf("under %s: %v\n%s", fipsOnly, err, output)
	}
}

// fipsOnly is a policy that forbids GCM with a nonce of the caller's.
const fipsOnly = "fips140=only"

// Concurrent digests do not mix.
func TestDigestAtOnce(t *testing.T) {
	d := newDigester()
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			text := strings.Repeat(string(rune('a'+i)), 900)
			want := d.digest(text)
			for range 1000 {
				if d.digest(text) != want {
					t.Error("a digest of another text")
					return
				}
			}
		})
	}
	group.Wait()
}

func BenchmarkDigest(b *testing.B) {
	text := strings.Repeat("x", 900)
	for name, d := range map[string]*digester{"GMAC": newDigester(), "SHA-256": {}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.digest(text)
			}
		})
	}
}

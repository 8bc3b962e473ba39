package dpop_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/dpop"
)

var (
	oldKey = bytes.Repeat([]byte{1}, 32)
	newKey = bytes.Repeat([]byte{2}, 48)
)

func nonces(t testing.TB, keys ...[]byte) *dpop.Nonces {
	t.Helper()
	n, err := dpop.NewNonces(keys, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNonces(t *testing.T) {
	n := nonces(t, oldKey)
	nonce := n.Issue(now)
	if len(nonce) != 32 || nonce == n.Issue(now.Add(time.Second)) {
		t.Errorf("nonce %q", nonce)
	}
	for offset, want := range map[time.Duration]bool{
		-31 * time.Second: false, -30 * time.Second: true, 0: true,
		time.Minute: true, time.Minute + 1: false, time.Hour: false,
	} {
		if n.Check(now.Add(offset), nonce) != want {
			t.Errorf("Check at %v = %t", offset, !want)
		}
	}
	// A nonce issued within a second lasts no longer for it.
	if late := n.Issue(now.Add(999 * time.Millisecond)); n.Check(now.Add(time.Minute+time.Second), late) {
		t.Error("a nonce outlives its life")
	}
}

func TestNonceRotation(t *testing.T) {
	before, adding, moved, after := nonces(t, oldKey), nonces(t, oldKey, newKey), nonces(t, newKey, oldKey), nonces(t, newKey)
	for _, tt := range []struct {
		name          string
		issuer, check *dpop.Nonces
		want          bool
	}{
		{"another replica", before, nonces(t, bytes.Clone(oldKey)), true},
		{"new key added, old issues", adding, before, true},
		{"old key's by both", before, adding, true},
		{"new key issues, both check", moved, adding, true},
		{"old key's after the move", before, moved, true},
		{"new key's where it is not known", moved, before, false},
		{"old key's after its removal", adding, after, false},
		{"new key's after the old one's removal", moved, after, true},
	} {
		if tt.check.Check(now, tt.issuer.Issue(now)) != tt.want {
			t.Errorf("%s: Check = %t", tt.name, !tt.want)
		}
	}
}

func TestNonceTampering(t *testing.T) {
	n := nonces(t, oldKey, newKey)
	nonce := n.Issue(now)
	raw, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(raw) * 8 {
		forged := bytes.Clone(raw)
		forged[i/8] ^= 1 << (i % 8)
		if n.Check(now, base64.RawURLEncoding.EncodeToString(forged)) {
			t.Errorf("bit %d flipped: accepted", i)
		}
	}
	for _, forged := range []string{
		"", nonce[:31], nonce[:28], nonce + "A", nonce + "AAAA", nonce + "=", nonce + "\n", "\n" + nonce, " " + nonce,
		strings.ToLower(nonce), strings.Repeat("A", 32), nonce[:16] + "\r\n" + nonce[16:], strings.Repeat("+", 32),
	} {
		if n.Check(now, forged) {
			t.Errorf("%q: accepted", forged)
		}
	}
}

func TestNewNonces(t *testing.T) {
	for _, tt := range []struct {
		name string
		keys [][]byte
		life time.Duration
		errs []string
	}{
		{"no key", nil, time.Minute, []string{"no nonce key"}},
		{"short key", [][]byte{oldKey[:31]}, time.Minute, []string{"nonce key 0"}},
		{"no life", [][]byte{oldKey}, 0, []string{"life"}},
		{"negative life", [][]byte{oldKey}, -time.Minute, []string{"life"}},
		{"all at once", [][]byte{oldKey, nil, oldKey[:1]}, time.Millisecond, []string{"life", "nonce key 1", "nonce key 2"}},
	} {
		n, err := dpop.NewNonces(tt.keys, tt.life)
		if n != nil || err == nil {
			t.Errorf("%s: NewNonces = %v, %v", tt.name, n, err)
			continue
		}
		for _, text := range tt.errs {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q does not name %q", tt.name, err, text)
			}
		}
	}
}

func TestShortestNonceLife(t *testing.T) {
	if _, err := dpop.NewNonces([][]byte{oldKey}, time.Second); err != nil {
		t.Error(err)
	}
}

func TestNewNoncesCopiesKeys(t *testing.T) {
	key := bytes.Clone(oldKey)
	n := nonces(t, key)
	clear(key)
	if !n.Check(now, nonces(t, oldKey).Issue(now)) {
		t.Error("the caller's change of a key reaches Nonces")
	}
}

func BenchmarkNonceCheck(b *testing.B) {
	n := nonces(b, newKey, oldKey)
	nonce := n.Issue(now)
	b.ReportAllocs()
	for b.Loop() {
		if !n.Check(now, nonce) {
			b.Fatal("refused")
		}
	}
}

// Replicas of two versions share keys, so the form of a nonce never changes. The
// context in it keeps a key that is also used elsewhere from signing nonces.
func TestNonceGolden(t *testing.T) {
	const want = "AAAAAGVT8QDWN4L8k-mPbb7ia6HLQuDs"
	n := nonces(t, []byte(strings.Repeat("k", 32)))
	at := time.Unix(1_700_000_000, 0)
	if got := n.Issue(at); got != want {
		t.Errorf("nonce %q, want %q", got, want)
	}
	if !n.Check(at, want) {
		t.Error("the nonce is refused")
	}
}

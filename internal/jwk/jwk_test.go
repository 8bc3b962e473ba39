package jwk

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/auth0grpc/auth0grpc/internal/base64url"
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// ofBits returns an odd number of exactly so many bits.
func ofBits(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return n.SetBit(n, 0, 1)
}

func TestPublic(t *testing.T) {
	rsaKey := func(n *big.Int, e ...byte) Key { return Key{Type: "RSA", N: encode(n.Bytes()), E: encode(e)} }
	with := func(k Key, change func(*Key)) Key { change(&k); return k }
	n := ofBits(2048)
	edPub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	okp := Key{Type: "OKP", Curve: "Ed25519", X: encode(edPub)}
	ec := map[string]Key{}
	publics := map[string]*ecdsa.PublicKey{}
	for name, curve := range curves {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := 1 + len(point)/2
		publics[name] = &key.PublicKey
		ec[name] = Key{Type: "EC", Curve: name, X: encode(point[1:half]), Y: encode(point[half:])}
	}
	p256 := ec["P-256"]
	tests := []struct {
		name    string
		key     Key
		want    crypto.PublicKey // nil if wantErr is set
		wantErr error
	}{
		{"RSA", rsaKey(n, 1, 0, 1), &rsa.PublicKey{N: n, E: 65537}, nil},
		{"largest modulus", rsaKey(ofBits(MaxRSABits), 1, 0, 1), &rsa.PublicKey{N: ofBits(MaxRSABits), E: 65537}, nil},
		{"modulus too large", rsaKey(ofBits(MaxRSABits+1), 1, 0, 1), nil, ErrRSASize},
		{"modulus too small", rsaKey(ofBits(MinRSABits-1), 1, 0, 1), nil, ErrRSASize},
		{"even modulus", rsaKey(new(big.Int).Lsh(big.NewInt(1), 2047), 1, 0, 1), nil, ErrValue},
		{"modulus with a leading zero", with(rsaKey(n, 1, 0, 1), func(k *Key) { k.N = encode(append([]byte{0}, n.Bytes()...)) }), &rsa.PublicKey{N: n, E: 65537}, nil},
		{"modulus zero", rsaKey(new(big.Int), 1, 0, 1), nil, ErrValue},
		{"exponent 3", rsaKey(n, 3), &rsa.PublicKey{N: n, E: 3}, nil},
		{"exponent 1", rsaKey(n, 1), nil, ErrValue},
		{"exponent 2", rsaKey(n, 2), nil, ErrValue},
		{"even exponent", rsaKey(n, 1, 0, 0), nil, ErrValue},
		{"exponent missing", rsaKey(n), nil, ErrValue},
		{"largest exponent", rsaKey(n, 0x7f, 0xff, 0xff, 0xff), &rsa.PublicKey{N: n, E: 1<<31 - 1}, nil},
		{"exponent of 32 bits", rsaKey(n, 0x80, 0, 0, 1), nil, ErrValue},
		{"exponent of 33 bits", rsaKey(n, 1, 0, 0, 0, 1), nil, ErrValue},
		{"exponent of 64 bits and more", rsaKey(n, 1, 0, 0, 0, 0, 0, 0, 0, 3), nil, ErrValue},
		{"exponent with leading zeros", rsaKey(n, 0, 0, 0, 0, 0, 1, 0, 1), &rsa.PublicKey{N: n, E: 65537}, nil},
		{"padding", with(rsaKey(n, 1, 0, 1), func(k *Key) { k.E = "AQ==" }), nil, ErrValue},
		// encoding/base64 returns the bytes that it decoded before an error.
		{"junk behind the modulus", with(rsaKey(n, 1, 0, 1), func(k *Key) { k.N = encode(append(n.Bytes(), 0)) + "!" }), nil, ErrValue},
		{"junk behind the exponent", with(rsaKey(n, 1, 0, 1), func(k *Key) { k.E = "AQAB!" }), nil, ErrValue},
		{"junk behind x", with(ec["P-384"], func(k *Key) { k.X += "!" }), nil, ErrValue},
		{"junk behind y", with(ec["P-384"], func(k *Key) { k.Y += "!" }), nil, ErrValue},
		{"junk behind the Ed25519 key", with(okp, func(k *Key) { k.X += "!" }), nil, ErrValue},
		{"modulus malformed", with(rsaKey(n, 1, 0, 1), func(k *Key) { k.N = "!" }), nil, ErrValue},

		{"P-256", ec["P-256"], publics["P-256"], nil},
		{"P-384", ec["P-384"], publics["P-384"], nil},
		{"P-521", ec["P-521"], publics["P-521"], nil},
		{"P-224", with(p256, func(k *Key) { k.Curve = "P-224" }), nil, ErrType},
		{"secp256k1", with(p256, func(k *Key) { k.Curve = "secp256k1" }), nil, ErrType},
		{"wrong curve", with(p256, func(k *Key) { k.Curve = "P-384" }), nil, ErrValue},
		{"x missing", with(p256, func(k *Key) { k.X = "" }), nil, ErrValue},
		{"y missing", with(p256, func(k *Key) { k.Y = "" }), nil, ErrValue},
		{"x and y swapped", with(p256, func(k *Key) { k.X, k.Y = k.Y, k.X }), nil, ErrValue},
		{"x with a leading zero", with(p256, func(k *Key) { k.X = "AA" + k.X }), nil, ErrValue},
		{"y with a leading zero", with(p256, func(k *Key) { k.Y = "AA" + k.Y }), nil, ErrValue},

		{"x and y cut at another place", with(p256, func(k *Key) {
			x, _ := base64url.Decode(k.X)
			y, _ := base64url.Decode(k.Y)
			k.X, k.Y = encode(append(x, y[0])), encode(y[1:])
		}), nil, ErrValue},

		{"Ed25519", okp, edPub, nil},
		{"Ed25519 too short", with(okp, func(k *Key) { k.X = "AAAA" }), nil, ErrValue},
		{"Ed25519 malformed", with(okp, func(k *Key) { k.X = "!" }), nil, ErrValue},
		{"X25519", with(okp, func(k *Key) { k.Curve = "X25519" }), nil, ErrType},

		{"no type", Key{}, nil, ErrType},
		{"symmetric", Key{Type: "oct"}, nil, ErrType},
		{"type in another case", with(p256, func(k *Key) { k.Type = "ec" }), nil, ErrType},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.key.Public()
			if err != tt.wantErr {
				t.Fatalf("Public = %v, want %v", err, tt.wantErr)
			}
			if tt.want == nil {
				if got != nil {
					t.Fatalf("Public = %v with an error", got)
				}
				return
			}
			if !tt.want.(interface{ Equal(crypto.PublicKey) bool }).Equal(got) {
				t.Errorf("Public = %v, want %v", got, tt.want)
			}
		})
	}
	if _, ok := curves["P-224"]; ok || len(curves) != 3 || curves["P-256"] != elliptic.P256() {
		t.Errorf("curves = %v", curves)
	}
}

func TestErrRSASizeGivesTheBounds(t *testing.T) {
	if !strings.Contains(ErrRSASize.Error(), "2048 to 8192") || MinRSABits != 2048 || MaxRSABits != 8192 {
		t.Errorf("%q does not give the bounds", ErrRSASize)
	}
}

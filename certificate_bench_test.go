package auth0grpc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"testing"
)

// BenchmarkCertificate measures the comparison of a token with the certificate of its
// connection: hashed by each call, and recognized by the pointer.
func BenchmarkCertificate(b *testing.B) {
	for name, size := range map[string]int{"1KB": 1 << 10, "2KB": 2 << 10} {
		certificate := &x509.Certificate{Raw: make([]byte, size)}
		rand.Read(certificate.Raw)
		sum := sha256.Sum256(certificate.Raw)
		c := &claims{cnf: &confirmation{certThumbprint: base64.RawURLEncoding.EncodeToString(sum[:])}}
		bind := &bindingChecker{clientCertificate: func(context.Context) (*x509.Certificate, error) { return certificate, nil }}
		for _, hashed := range []bool{true, false} {
			b.Run(name+map[bool]string{true: "/hashed", false: "/recognized"}[hashed], func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if hashed {
						c.lastCertificate.Store(nil)
					}
					if bind.checkCertificate(b.Context(), &Request{}, c) != nil {
						b.Fatal("refused")
					}
				}
			})
		}
	}
}

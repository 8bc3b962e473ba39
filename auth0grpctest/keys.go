package auth0grpctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // for x5t, which names a certificate and protects nothing
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"sync"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/errgroup"
)

// RotateKeys rotates the signing keys as Auth0 does: the next key becomes the
// current one, the current one becomes the previous, and a new next appears.
// All three are published, so tokens of the previous key still verify. A
// previous key of an earlier rotation is withdrawn: Auth0's key set has two or
// three members. Keys are RSA of 2048 bits; making one can take 100 ms.
func (t *Tenant) RotateKeys() {
	if err := t.keys.rotate(); err != nil {
		panic(err)
	}
}

// RevokePreviousKey withdraws the previous key from the key set, after which
// its tokens verify only against a cached copy of the set. The current key
// cannot be revoked, as in Auth0: rotate first. Without a previous key it does
// nothing.
func (t *Tenant) RevokePreviousKey() {
	t.keys.mu.Lock()
	defer t.keys.mu.Unlock()
	t.keys.previous = nil
}

// PublishES256 adds the tenant's elliptic-curve key to the key set, and ES256
// to the algorithms of the discovery document. Auth0 offers no such key today;
// this is for tests of a server that allows the algorithm. Without it ES256
// tokens of [Tenant.Sign] have an unknown key. It cannot be undone.
func (t *Tenant) PublishES256() {
	t.keys.mu.Lock()
	defer t.keys.mu.Unlock()
	t.keys.publishES256 = true
}

// A rsaKey is a signing key with its name in the key set.
type rsaKey struct {
	id          string
	private     *rsa.PrivateKey
	certificate *x509.Certificate // self-signed
}

// An ecKey is the tenant's key for ES256. It takes no part in rotation.
type ecKey struct {
	id      string
	private *ecdsa.PrivateKey
}

// A keyRing is the keys of one tenant.
type keyRing struct {
	es256 ecKey // never changes

	mu                      sync.Mutex // guards all below
	current, next, previous *rsaKey    // previous may be nil
	publishES256            bool
	used                    []*rsa.PrivateKey // all ever used, for release
}

func newKeyRing() (*keyRing, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("auth0grpctest: generate key: %w", err)
	}
	r := &keyRing{es256: ecKey{id: newKeyID(), private: private}}
	var group errgroup.Group
	group.Go(func() (err error) { r.current, err = newRSAKey(); return err })
	group.Go(func() (err error) { r.next, err = newRSAKey(); return err })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	r.used = []*rsa.PrivateKey{r.current.private, r.next.private}
	return r, nil
}

func newRSAKey() (*rsaKey, error) {
	private, err := spareKeys.get()
	if err != nil {
		return nil, err
	}
	certificate, err := newKeyCertificate(private)
	if err != nil {
		return nil, err
	}
	return &rsaKey{id: newKeyID(), private: private, certificate: certificate}, nil
}

// newKeyCertificate returns a certificate like those that Auth0 publishes with its
// keys: self-signed, for the name of the tenant, for about 14 years. Nothing checks it.
func newKeyCertificate(key *rsa.PrivateKey) (*x509.Certificate, error) {
	template := certificateTemplate("auth0grpctest.invalid")
	template.NotAfter = template.NotBefore.AddDate(14, 0, 0)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("auth0grpctest: certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// newKeyID returns 21 random characters, like the ids of Auth0's newer keys.
func newKeyID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])[:21]
}

func (r *keyRing) rotate() error {
	fresh, err := newRSAKey()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.previous, r.current, r.next = r.current, r.next, fresh
	r.used = append(r.used, fresh.private)
	return nil
}

// signer returns the key that signs now.
func (r *keyRing) signer() *rsaKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

func (r *keyRing) es256Published() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.publishES256
}

// published returns the key set. Each RSA key has x5c and x5t, as in Auth0: one
// self-signed certificate, and its SHA-1 thumbprint.
func (r *keyRing) published() jose.JSONWebKeySet {
	r.mu.Lock()
	defer r.mu.Unlock()
	var set jose.JSONWebKeySet
	for _, key := range []*rsaKey{r.current, r.next, r.previous} {
		if key != nil {
			thumbprint := sha1.Sum(key.certificate.Raw) // RFC 7517, section 4.8
			set.Keys = append(set.Keys, jose.JSONWebKey{
				Key: key.private.Public(), KeyID: key.id, Algorithm: "RS256", Use: "sig",
				Certificates: []*x509.Certificate{key.certificate}, CertificateThumbprintSHA1: thumbprint[:],
			})
		}
	}
	if r.publishES256 {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: r.es256.private.Public(), KeyID: r.es256.id, Algorithm: "ES256", Use: "sig",
		})
	}
	return set
}

// release gives the ring's keys to later tenants. The ring keeps its own
// references, so that a closed tenant signs rather than crashes.
func (r *keyRing) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	spareKeys.put(r.used)
	r.used = nil
}

// spareKeys is the one package-level state. Making an RSA key costs about
// 100 ms, several times that under the race detector, and a tenant needs two
// before its first token; a test binary with a hundred tenants would spend most
// of its time there. Sharing is sound because only closed tenants give keys
// back, with all that they revoked: two tenants that run at the same time never
// have a key in common, no key returns to the tenant that revoked it, and each
// new owner publishes it under a new random id and another issuer.
var spareKeys keyPool

type keyPool struct {
	mu   sync.Mutex
	free []*rsa.PrivateKey
}

func (p *keyPool) get() (*rsa.PrivateKey, error) {
	p.mu.Lock()
	if last := len(p.free) - 1; last >= 0 {
		defer p.mu.Unlock()
		key := p.free[last]
		p.free = p.free[:last]
		return key, nil
	}
	p.mu.Unlock()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("auth0grpctest: generate key: %w", err)
	}
	return key, nil
}

func (p *keyPool) put(keys []*rsa.PrivateKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, keys...)
}

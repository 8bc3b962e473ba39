package auth0grpc

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"time"
	"weak"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/auth0grpc/auth0grpc/internal/dpop"
)

// A binder checks that a token is presented by who it was issued to. A nil
// binder stands for both bindings disabled.
type binder struct {
	dpop        BindingMode
	authorities []string
	algorithms  string // as a challenge lists them
	proofs      *dpop.Verifier
	replay      ReplayStore
	nonces      *dpop.Nonces // nil: none
	mtls        BindingMode
	certificate func(context.Context) (*x509.Certificate, error)
}

// newBinder takes a Config whose bindingFaults are none.
func newBinder(c *Config) *binder {
	if c.DPoP.Mode == BindingDisabled && c.MTLS.Mode == BindingDisabled {
		return nil
	}
	b := &binder{dpop: c.DPoP.Mode, mtls: c.MTLS.Mode, certificate: c.MTLS.Certificate}
	if b.certificate == nil {
		b.certificate = connectionCertificate
	}
	if b.dpop == BindingDisabled {
		return b
	}
	for _, authority := range c.DPoP.Authorities {
		b.authorities = append(b.authorities, normalAuthority(authority))
	}
	b.algorithms = strings.Join(c.DPoP.Algorithms, " ")
	b.proofs = dpop.NewVerifier(dpop.Config{Algorithms: c.DPoP.Algorithms, MaxAge: c.DPoP.MaxProofAge, MaxAhead: c.DPoP.MaxProofSkew})
	b.replay = c.DPoP.ReplayStore
	if b.replay == nil {
		b.replay = NewReplayStore(defaultReplayCapacity, c.Now)
	}
	if len(c.DPoP.NonceKeys) > 0 {
		b.nonces, _ = dpop.NewNonces(c.DPoP.NonceKeys, c.DPoP.NonceLifetime)
	}
	return b
}

// modes are those of the Config.
func (b *binder) modes() (dpop, mtls BindingMode) {
	if b == nil {
		return BindingDisabled, BindingDisabled
	}
	return b.dpop, b.mtls
}

// takesDPoP reports whether a credential under the scheme DPoP is looked at.
func (b *binder) takesDPoP() bool { return b != nil }

// supports reports whether what the token is bound by is checked here, all of it:
// a member of cnf that nobody knows is a condition that nobody checks (RFC 7800,
// section 3.1).
func (b *binder) supports(cnf *confirmation) bool {
	return b != nil && !cnf.other && (cnf.key != "" || cnf.certificate != "") &&
		(cnf.key == "" || b.dpop != BindingDisabled) &&
		(cnf.certificate == "" || b.mtls != BindingDisabled)
}

// demands refuses by the scheme alone what DPoP is asked of, before any of the
// token is read.
func (b *binder) demands(r *row, scheme scheme) *refusal {
	if b != nil && scheme == schemeBearer && b.needsDPoP(r) {
		return refusedWithoutDPoP
	}
	return nil
}

func (b *binder) needsDPoP(r *row) bool {
	return b.dpop == BindingRequired || r != nil && r.rule.requireDPoP
}

func (b *binder) needsMTLS(r *row) bool {
	return b.mtls == BindingRequired || r != nil && r.rule.requireMTLS
}

// check makes the checks of a verified token that are for each call anew.
func (b *binder) check(ctx context.Context, now time.Time, fullMethod string, r *row, by credential, c *claims) *refusal {
	switch {
	case c.cnf.key == "" && b.needsDPoP(r):
		return refusedUnbound
	case c.cnf.certificate == "" && b.needsMTLS(r):
		return refusedWithoutMTLS
	case c.cnf.key != "" && by.scheme != schemeDPoP:
		// RFC 9449, section 7.2: a bound token is no bearer token.
		return refusedBearer
	case c.cnf.key == "" && by.scheme == schemeDPoP && c.cnf.certificate == "":
		return refusedUnbound
	}
	if c.cnf.certificate != "" {
		if refused := b.checkCertificate(ctx, c); refused != nil {
			return refused
		}
	}
	if c.cnf.key == "" {
		// A client that proves possession of a key thinks that its token is bound.
		if b.dpop != BindingDisabled && len(metadata.ValueFromIncomingContext(ctx, "dpop")) > 0 {
			return refusedStrayProof
		}
		return nil
	}
	proofs := metadata.ValueFromIncomingContext(ctx, "dpop")
	if len(proofs) != 1 {
		return refusedProofCount
	}
	return b.checkProof(ctx, now, fullMethod, proofs[0], by.token, c)
}

// checkProof is RFC 9449, section 4.3, and the replay check of section 11.1, the
// store last: only a proof that is good in every other way is remembered.
func (b *binder) checkProof(ctx context.Context, now time.Time, fullMethod, raw, token string, c *claims) *refusal {
	uris := make([]string, len(b.authorities))
	for i, authority := range b.authorities {
		uris[i] = authority + fullMethod
	}
	proof, err := b.proofs.Verify(now, raw, uris, token)
	if err != nil {
		return refusedProof.because(err)
	}
	if proof.Thumbprint != c.cnf.key {
		return refusedProofKey
	}
	if b.nonces != nil && !b.nonces.Check(now, proof.Nonce) {
		return refusedNonce
	}
	first, err := b.replay.Use(ctx, proof.Thumbprint+" "+proof.ID, proof.Expiry)
	switch {
	case err != nil && ctx.Err() != nil:
		return contextEnded(ctx.Err())
	case err != nil:
		return refusedReplayStore.because(err)
	case !first:
		return refusedReplay
	}
	return nil
}

// checkCertificate is RFC 8705, section 3. The connection proved the key of its
// certificate; who issued the certificate does not matter here.
func (b *binder) checkCertificate(ctx context.Context, c *claims) *refusal {
	certificate, err := b.certificate(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return contextEnded(ctx.Err())
	case err != nil:
		return refusedCertificate.because(err)
	case certificate == nil:
		return refusedCertificate
	}
	// A connection has one *x509.Certificate for its life, so the hash is taken once
	// for each token and connection. The pointer is weak: it keeps nothing alive, and
	// gives back that certificate or none.
	if last := c.heldBy.Load(); last != nil && last.Value() == certificate {
		return nil
	}
	sum := sha256.Sum256(certificate.Raw)
	if base64.RawURLEncoding.EncodeToString(sum[:]) != c.cnf.certificate {
		return refusedCertificate
	}
	pointer := weak.Make(certificate)
	c.heldBy.Store(&pointer)
	return nil
}

// connectionCertificate is the leaf that the client presented in the handshake.
func connectionCertificate(ctx context.Context) (*x509.Certificate, error) {
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.PeerCertificates) > 0 {
			return info.State.PeerCertificates[0], nil
		}
	}
	return nil, nil
}

// challenge returns what a refused call is answered with. Where DPoP is on, both
// schemes are offered, or DPoP alone where it is required; the error goes to the
// scheme that the client used (RFC 9449, section 7.1).
func (b *binder) challenge(refused *refusal, used scheme, r *row, now func() time.Time) metadata.MD {
	if b == nil || b.dpop == BindingDisabled || refused.parameters == nil {
		return refused.challenge
	}
	algorithms := `algs="` + b.algorithms + `"`
	failed := strings.TrimSpace("Bearer " + *refused.parameters)
	other := "DPoP " + algorithms
	if used == schemeDPoP || b.needsDPoP(r) {
		failed, other = "DPoP "+algorithms, "Bearer"
		if *refused.parameters != "" {
			failed = "DPoP " + *refused.parameters + ", " + algorithms
		}
	}
	md := metadata.Pairs("www-authenticate", failed)
	if !b.needsDPoP(r) {
		md.Append("www-authenticate", other)
	}
	if refused == refusedNonce {
		md.Set("dpop-nonce", b.nonces.Issue(now()))
	}
	return md
}

// nonce returns the metadata by which a client learns the nonce for its next
// calls (RFC 9449, section 8.2), or nil.
func (b *binder) nonce(by scheme, now func() time.Time) metadata.MD {
	if b == nil || b.nonces == nil || by != schemeDPoP {
		return nil
	}
	return metadata.Pairs("dpop-nonce", b.nonces.Issue(now()))
}

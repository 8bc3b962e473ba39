package suite

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	grpcpeer "google.golang.org/grpc/peer"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// Bound is the level of calls at the interceptor with a bound token that was verified
// before.
const Bound = "bound tokens, interceptor"

// Cases of [Bound].
const (
	ProofFloor  = "ES256 verification of the proof"
	Unbound     = "unbound token, no binding configured"
	UnboundMTLS = "unbound token, mTLS allowed"
	BoundMTLS   = "token bound to a certificate"
	UnboundBoth = "unbound token, both bindings allowed"
	BoundBoth   = "token bound to a certificate, both bindings allowed"
	BoundDPoP   = "token bound to a key, with a proof"
	BoundNonce  = "token bound to a key, with a proof and a nonce"
)

const boundAuthority = "https://rpc.example.com"

// BoundCases returns the calls with bindings, and the floor that they are compared with.
func (s *Suite) BoundCases() ([]Case, error) {
	certificate := auth0grpctest.NewCertificateAuthority().Client("client").Leaf
	key := auth0grpctest.NewDPoPKey()
	token := s.Token("RS256", Small)
	ofCertificate := s.mintBound(map[string]any{"x5t#S256": auth0grpctest.CertificateThumbprint(certificate)})
	ofKey := s.mintBound(map[string]any{"jkt": key.Thumbprint()})
	proof := key.Proof(boundAuthority+emptyCall.FullMethod, ofKey, nil)
	verify, err := proofOperation(key, proof)
	if err != nil {
		return nil, err
	}
	mtls := auth0grpc.MTLSConfig{Mode: auth0grpc.BindingAllowed}
	dpop := auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{boundAuthority}, MaxProofAge: time.Hour, ReplayStore: newEndless()}
	nonces := dpop
	nonces.NonceKeys = [][]byte{make([]byte, 32)}
	nonces.NonceLifetime = time.Hour

	all := []Case{{Bound, ProofFloor, "RS256", Small, func(b *testing.B) { inParallel(b, verify) }}}
	for _, one := range []struct {
		name   string
		config auth0grpc.Config
		values []string
	}{
		{Unbound, auth0grpc.Config{}, []string{"authorization", "Bearer " + token}},
		{UnboundMTLS, auth0grpc.Config{MTLS: mtls}, []string{"authorization", "Bearer " + token}},
		{BoundMTLS, auth0grpc.Config{MTLS: mtls}, []string{"authorization", "Bearer " + ofCertificate}},
		{UnboundBoth, auth0grpc.Config{MTLS: mtls, DPoP: dpop}, []string{"authorization", "Bearer " + token}},
		{BoundBoth, auth0grpc.Config{MTLS: mtls, DPoP: dpop}, []string{"authorization", "Bearer " + ofCertificate}},
		{BoundDPoP, auth0grpc.Config{DPoP: dpop}, []string{"authorization", "DPoP " + ofKey, "dpop", proof}},
		{BoundNonce, auth0grpc.Config{DPoP: nonces}, []string{"authorization", "DPoP " + ofKey, "dpop", proof}},
	} {
		p, err := s.newOurs(one.config, "RS256", s.newIssuerClient("RS256"))
		if err != nil {
			return nil, err
		}
		trailer := new(trailerStream)
		ctx := boundContext(certificate, trailer, one.values...)
		if one.name == BoundNonce {
			_ = p.intercept(ctx) // fetches the nonce
			if trailer.nonce == "" {
				return nil, errors.New("suite: no nonce came")
			}
			one.values[3] = key.Proof(boundAuthority+emptyCall.FullMethod, ofKey, map[string]any{"nonce": trailer.nonce})
			ctx = boundContext(certificate, serverStream{}, one.values...)
		}
		if err := p.intercept(ctx); err != nil {
			return nil, fmt.Errorf("suite: %s: %w", one.name, err)
		}
		all = append(all, Case{Bound, one.name, "RS256", Small, func(b *testing.B) {
			inParallel(b, func() error { return p.intercept(ctx) })
		}})
	}
	return all, nil
}

// mintBound returns a good token with a cnf claim, about as long as the small one.
func (s *Suite) mintBound(cnf map[string]any) string {
	c := claims(s.tenant.Issuer(), 1, "")
	c["cnf"] = cnf
	length := len(s.tenant.Sign(nil, c))
	c["https://example.com/note"] = strings.Repeat("x", max(1, (Small-length)*3/4+1))
	return s.tenant.Sign(nil, c)
}

// boundContext returns the incoming context of a call over TLS with a client
// certificate. Its values are nested as deeply as in gRPC.
func boundContext(certificate *x509.Certificate, stream grpc.ServerTransportStream, values ...string) context.Context {
	md := metadata.Pairs(":authority", "localhost:50051", "content-type", "application/grpc", "user-agent", "grpc-go/"+grpc.Version)
	ctx := grpcpeer.NewContext(context.Background(), &grpcpeer.Peer{AuthInfo: credentials.TLSInfo{
		State: tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}},
	}})
	ctx = metadata.NewIncomingContext(ctx, metadata.Join(md, metadata.Pairs(values...)))
	return grpc.NewContextWithServerTransportStream(ctx, stream)
}

// trailerStream keeps the nonce of the answer.
type trailerStream struct {
	serverStream
	nonce string
}

func (s *trailerStream) SetTrailer(md metadata.MD) error {
	if nonce := md.Get("dpop-nonce"); len(nonce) == 1 {
		s.nonce = nonce[0]
	}
	return nil
}

// An endless store records every use under a new id in the library's own store. So one
// proof serves all calls of a benchmark, because signing is slower than verifying. The
// cost of the new id counts for the library.
type endless struct {
	store auth0grpc.ReplayStore
	uses  atomic.Int64
}

func newEndless() *endless { return &endless{store: auth0grpc.NewReplayStore(50_000_000, nil)} }

func (e *endless) Use(ctx context.Context, id string, until time.Time) (bool, error) {
	return e.store.Use(ctx, id+strconv.FormatInt(e.uses.Add(1), 36), until)
}

// proofOperation returns the bare verification of a proof's signature. The rest is done
// in advance.
func proofOperation(key *auth0grpctest.DPoPKey, proof string) (func() error, error) {
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(key.JWK(), &jwk); err != nil {
		return nil, err
	}
	public, ok := jwk.Key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("suite: a proof is signed with a %T", jwk.Key)
	}
	end := strings.LastIndexByte(proof, '.')
	digest := sha256.Sum256([]byte(proof[:end]))
	signature, err := base64.RawURLEncoding.DecodeString(proof[end+1:])
	if err != nil {
		return nil, err
	}
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	return func() error {
		if !ecdsa.Verify(public, digest[:], r, s) {
			return errors.New("suite: bad signature")
		}
		return nil
	}, nil
}

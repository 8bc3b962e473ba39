package suite

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// Levels of a [Case].
const (
	Floor       = "floor"
	Interceptor = "interceptor"
	Unary       = "unary RPC, bufconn"
	UnaryTCP    = "unary RPC, loopback TCP"
	Stream      = "stream opening, bufconn"
)

// Cases of [Floor].
const (
	Hash      = "SHA-256 of the token"
	PublicKey = "public-key verification"
)

// A Case is one benchmark.
type Case struct {
	Level     string
	Peer      string // of Peers, or of the floor
	Algorithm string
	Size      int
	Bench     func(*testing.B)
}

// Name returns the name of a sub-benchmark.
func (c Case) Name() string {
	return fmt.Sprintf("%s/%s/%dB/%s", c.Level, c.Algorithm, c.Size, c.Peer)
}

// Cases returns every benchmark, with running and warm servers. Cases that are compared
// with each other are neighbours.
func (s *Suite) Cases() ([]Case, error) {
	var all []Case
	for _, build := range []func() ([]Case, error){s.floor, s.interceptors, s.calls} {
		cases, err := build()
		if err != nil {
			return nil, err
		}
		all = append(all, cases...)
	}
	return all, nil
}

func (s *Suite) floor() ([]Case, error) {
	rsaKey, ecKey, err := s.publicKeys()
	if err != nil {
		return nil, err
	}
	var all []Case
	for _, size := range []int{Small, Large} {
		token := []byte(s.Token("RS256", size))
		all = append(all, Case{Floor, Hash, "RS256", size, func(b *testing.B) {
			inParallel(b, func() error { sha256.Sum256(token); return nil })
		}})
	}
	for _, alg := range Algorithms {
		verify, err := publicKeyOperation(s.Token(alg, Small), alg, rsaKey, ecKey)
		if err != nil {
			return nil, err
		}
		all = append(all, Case{Floor, PublicKey, alg, Small, func(b *testing.B) { inParallel(b, verify) }})
	}
	return all, nil
}

// publicKeyOperation returns the bare public-key operation of a signature check. The
// rest, hashing included, is done in advance.
func publicKeyOperation(token, alg string, rsaKey *rsa.PublicKey, ecKey *ecdsa.PublicKey) (func() error, error) {
	end := strings.LastIndexByte(token, '.')
	digest := sha256.Sum256([]byte(token[:end]))
	signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
	if err != nil {
		return nil, err
	}
	switch alg {
	case "RS256":
		return func() error { return rsa.VerifyPKCS1v15(rsaKey, crypto.SHA256, digest[:], signature) }, nil
	case "PS256":
		return func() error { return rsa.VerifyPSS(rsaKey, crypto.SHA256, digest[:], signature, nil) }, nil
	}
	r, t := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	return func() error {
		if !ecdsa.Verify(ecKey, digest[:], r, t) {
			return errors.New("suite: bad signature")
		}
		return nil
	}, nil
}

func (s *Suite) interceptors() ([]Case, error) {
	var all []Case
	for _, alg := range Algorithms {
		peers := make(map[string]*peer)
		for _, name := range Peers[1:] {
			var err error
			if peers[name], err = s.newPeer(name, alg); err != nil {
				return nil, err
			}
		}
		for _, size := range []int{Small, Large} {
			for _, name := range Peers[1:] {
				p, ctx := peers[name], incoming(s.Token(alg, size))
				if err := p.intercept(ctx); err != nil {
					return nil, fmt.Errorf("suite: %s refused a good %s token: %w", name, alg, err)
				}
				all = append(all, Case{Interceptor, name, alg, size, func(b *testing.B) {
					inParallel(b, func() error { return p.intercept(ctx) })
				}})
			}
		}
	}
	return all, nil
}

// calls returns the RPCs, all with RS256. The interceptor level compares the algorithms.
func (s *Suite) calls() ([]Case, error) {
	const alg = "RS256"
	unary := func(ctx context.Context, client testgrpc.TestServiceClient) error {
		_, err := client.EmptyCall(ctx, &testgrpc.Empty{})
		return err
	}
	var all []Case
	for _, level := range []struct {
		name string
		over transport
		size int
		call func(context.Context, testgrpc.TestServiceClient) error
	}{
		{Unary, inMemory, Small, unary},
		{Unary, inMemory, Large, unary},
		{UnaryTCP, overTCP, Small, unary},
		{UnaryTCP, overTCP, Large, unary},
		{Stream, inMemory, Small, openStream},
	} {
		ctx := outgoing(s.Token(alg, level.size))
		for _, name := range Peers {
			r, err := s.newRig(name, alg, level.over)
			if err != nil {
				return nil, err
			}
			s.closes = append(s.closes, r.close)
			all = append(all, Case{level.name, name, alg, level.size, func(b *testing.B) {
				inParallel(b, func() error { return level.call(ctx, r.client) })
			}})
		}
	}
	return all, nil
}

// inParallel runs op b.N times on as many goroutines as there are cores.
func inParallel(b *testing.B, op func() error) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := op(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

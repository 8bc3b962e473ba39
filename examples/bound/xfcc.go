package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// xfcc is the header in which Envoy passes on the certificate of its client, set up so
// that it replaces the client's own header:
//
//	forward_client_cert_details: SANITIZE_SET
//	set_current_client_cert_details: { cert: true }
const xfcc = "x-forwarded-client-cert"

// certificateBehind returns a Config.MTLS.Certificate for a server that is called
// by the named proxies and by clients themselves. Anybody can write the header,
// so it counts only over a connection whose own, verified certificate has the
// name of a proxy; every other peer speaks for itself.
func certificateBehind(proxies ...string) func(context.Context) (*x509.Certificate, error) {
	return func(ctx context.Context) (*x509.Certificate, error) {
		p, ok := peer.FromContext(ctx)
		if !ok {
			return nil, nil
		}
		info, ok := p.AuthInfo.(credentials.TLSInfo)
		if !ok || len(info.State.VerifiedChains) == 0 {
			return nil, nil
		}
		direct := info.State.VerifiedChains[0][0]
		if !slices.Contains(proxies, direct.Subject.CommonName) {
			return direct, nil
		}
		switch values := metadata.ValueFromIncomingContext(ctx, xfcc); len(values) {
		case 0:
			return nil, nil // the proxy's client has no certificate, and the proxy's own is not the client's
		case 1:
			return parseXFCC(values[0])
		default:
			return nil, errXFCC
		}
	}
}

var errXFCC = errors.New("bound: x-forwarded-client-cert does not name exactly one client")

// parseXFCC reads one element with one Cert. With the settings above there is
// nothing else in it that a client has a say in: Subject, URI and DNS, which may
// hold any text, are refused rather than skipped.
func parseXFCC(value string) (*x509.Certificate, error) {
	if strings.Contains(value, ",") { // one element for each proxy on the way
		return nil, errXFCC
	}
	var encoded string
	for pair := range strings.SplitSeq(value, ";") {
		name, text, _ := strings.Cut(pair, "=")
		switch {
		case strings.EqualFold(name, "By"), strings.EqualFold(name, "Hash"):
		case strings.EqualFold(name, "Cert") && encoded == "":
			encoded = strings.Trim(text, `"`)
		default:
			return nil, errXFCC
		}
	}
	text, err := url.PathUnescape(encoded) // a plus sign is one
	if err != nil {
		return nil, errXFCC
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
		return nil, errXFCC
	}
	return x509.ParseCertificate(block.Bytes)
}

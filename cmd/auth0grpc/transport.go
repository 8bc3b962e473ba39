package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
)

// newTransport returns a transport of its own. It trusts the certificates in a file
// instead of the system's, if the name is not empty.
func newTransport(ca string) (*http.Transport, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if ca == "" {
		return transport, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificates", ca)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	return transport, nil
}

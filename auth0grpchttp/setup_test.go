package auth0grpchttp_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/auth0grpc/auth0grpc"
)

type anyMessage = anypb.Any

// cmpEmpty takes an empty list for none.
var cmpEmpty = cmpopts.EquateEmpty()

func asRefusal(err error, refusal **auth0grpc.Refusal) bool { return errors.As(err, refusal) }

func stateWith(certificate *x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}}
}

// raw sends text over a connection of its own, and returns the answer with its body
// read.
func raw(t *testing.T, address, text string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	var r *http.Request
	if text[:4] == "HEAD" {
		r = &http.Request{Method: http.MethodHead}
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return response
}

package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// No door reads the body of a refused request, but for grpc-go's ServeHTTP: it reads
// ahead, while the interceptor decides.
func TestRefusedBodiesAreNotRead(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(), Methods: methods(),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	service := new(counted)
	handler, err := newHandler(guard, service)
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, c := range cells() {
		if c.path == "" || c.bearerOnly || c.contentType == "" && c.path == c.method {
			continue
		}
		body := &countingReader{Reader: bytes.NewReader(make([]byte, 1<<20))}
		w, r := httptest.NewRecorder(), httptest.NewRequest(c.htm, c.path+"?"+c.query, body)
		r.Header.Set("Content-Type", c.contentType)
		handler.ServeHTTP(w, r)
		if body.n > 0 || service.ran.Load() > 0 {
			t.Errorf("%v: %d bytes were read, status %d", c, body.n, w.Code)
		}
		tested++
	}
	if tested < 20 {
		t.Errorf("%d doors and shapes", tested)
	}
}

type countingReader struct {
	io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

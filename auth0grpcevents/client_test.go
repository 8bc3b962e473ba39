package auth0grpcevents

import (
	"net/http"
	"testing"
	"time"
)

// TestClient shows that the client for the Events API follows no redirect and has no time
// limit for a response, and that it changes no client of the program.
func TestClient(t *testing.T) {
	given := &http.Client{Timeout: time.Second, Transport: http.NewFileTransport(nil)}
	for name, config := range map[string]*Config{"default": {}, "given": {HTTPClient: given}} {
		client := config.client()
		if client.Timeout != 0 || client.CheckRedirect == nil || client.CheckRedirect(nil, nil) != http.ErrUseLastResponse {
			t.Errorf("%s: %+v, want no time limit and no redirect", name, client)
		}
		if name == "given" {
			if client.Transport != given.Transport || given.CheckRedirect != nil || given.Timeout != time.Second {
				t.Errorf("%+v is not a copy of %+v", client, given)
			}
			continue
		}
		transport, ok := client.Transport.(*http.Transport)
		if !ok || transport.TLSHandshakeTimeout == 0 || transport.IdleConnTimeout == 0 || transport.DialContext == nil || transport.Proxy == nil {
			t.Errorf("transport %+v, want one with time limits", client.Transport)
		}
	}
}

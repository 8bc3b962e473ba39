package integration

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A provider is oidc-provider in its own process.
type provider struct {
	*process
	*authority
	issuer string
	keys   keyRing
	port   int
	node   string
}

// A keyRing holds the same keys as an Auth0 tenant: the signing key, the next one, and
// the former ones that are not revoked. They are made here because Node 20 can deadlock
// when it makes a key and writes it as JSON at the same time.
type keyRing struct {
	current, next jose.JSONWebKey
	previous      []jose.JSONWebKey
}

func newKey(t testing.TB) jose.JSONWebKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: private, KeyID: rand.Text(), Algorithm: "RS256", Use: "sig"}
}

// published are the keys in the order in which oidc-provider wants them: it signs
// with the first.
func (r *keyRing) published() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{r.current, r.next}, r.previous...)}
}

func startProvider(t testing.TB, a *authority) *provider {
	t.Helper()
	p := &provider{authority: a, node: needNode(t), port: freePort(t)}
	p.issuer = fmt.Sprintf("https://127.0.0.1:%d/", p.port)
	p.keys = keyRing{current: newKey(t), next: newKey(t)}
	p.start(t)
	return p
}

func (p *provider) start(t testing.TB) {
	t.Helper()
	settings, err := json.Marshal(map[string]any{
		"issuer": p.issuer, "port": p.port, "cert": p.certPEM, "key": p.keyPEM, "jwks": p.keys.published(),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, "provider.json", string(settings))
	p.process = start(t, exec.Command(p.node, "node/provider.mjs", p.path("provider.json")))
}

// rotate makes the next key the current one, as "Rotate Signing Key" in Auth0's
// dashboard does.
func (p *provider) rotate(t testing.TB) {
	t.Helper()
	p.keys = keyRing{current: p.keys.next, next: newKey(t), previous: append([]jose.JSONWebKey{p.keys.current}, p.keys.previous...)}
	p.swap(t)
}

// revoke withdraws the keys that have signed before.
func (p *provider) revoke(t testing.TB) {
	t.Helper()
	p.keys.previous = nil
	p.swap(t)
}

func (p *provider) swap(t testing.TB) {
	t.Helper()
	line, err := json.Marshal(map[string]any{"jwks": p.keys.published()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.input.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "swapped")
}

// httpClient returns a client that trusts the provider.
func (a *authority) httpClient() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: a.trusting()}}
}

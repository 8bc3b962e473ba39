package auth0grpcclient

import (
	"crypto/rand"
	"net/url"
	"time"
)

// assertionLife is well within the 5 minutes that Auth0 allows, and long enough
// for clocks that differ by half of it.
const assertionLife = time.Minute

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// An asserter authenticates token requests by private_key_jwt.
type asserter struct {
	signer   *signer
	header   string
	clientID string
	issuer   string // the audience of the assertions
	now      func() time.Time
}

func newAsserter(c *Config) *asserter {
	s, _ := newSigner(c.PrivateKey) // the key was checked
	return &asserter{
		signer:   s,
		header:   jwsHeader{Type: "JWT", Algorithm: s.alg, KeyID: c.KeyID}.encode(),
		clientID: c.ClientID,
		issuer:   c.Issuer,
		now:      c.Now,
	}
}

// authenticate adds an assertion to a request. Each one is used once, also
// where a request is sent again: its jti may be remembered.
func (a *asserter) authenticate(params url.Values) error {
	now := a.now()
	assertion, err := a.signer.sign(a.header, map[string]any{
		"iss": a.clientID,
		"sub": a.clientID,
		"aud": a.issuer,
		"iat": now.Unix(),
		"exp": now.Add(assertionLife).Unix(),
		"jti": rand.Text(),
	})
	if err != nil {
		return err
	}
	params.Set("client_assertion_type", assertionType)
	params.Set("client_assertion", assertion)
	return nil
}

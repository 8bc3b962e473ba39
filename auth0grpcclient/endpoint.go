package auth0grpcclient

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	requestTime  = 10 * time.Second       // for one request
	fetchTime    = 30 * time.Second       // for all requests of one fetch
	maxRequests  = 4                      // of one fetch
	firstBackoff = 250 * time.Millisecond // doubles from request to request

	exchangeGrant   = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
)

// An endpoint fetches tokens.
type endpoint struct {
	config   *Config
	client   *http.Client
	asserter *asserter // nil without a private key
	prover   *prover   // nil without DPoP
}

// A token is ready for use. It never changes.
type token struct {
	authorization string    // the metadata value
	hash          string    // the ath claim of its proofs; "" without DPoP
	refresh       time.Time // from here on a new one is fetched in the background
	deadline      time.Time // from here on it is not used
}

// fetch gets a token, on behalf of the subject token unless that is "". It tries
// again, with pauses that grow, while that may help and time is left.
func (e *endpoint) fetch(ctx context.Context, subject string) (*token, *TokenError) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	for n := 1; ; n++ {
		t, failure := e.requestWithNonce(ctx, subject)
		if failure == nil || failure.final || n == maxRequests {
			return t, failure
		}
		if !pause(ctx, max(failure.after, backoff(firstBackoff, n-1))) {
			return nil, failure
		}
	}
}

// backoff returns base doubled n times, of which the upper half is random, so
// that many clients do not come back as one.
func backoff(base time.Duration, n int) time.Duration {
	base <<= n
	return base/2 + rand.N(base/2)
}

// pause reports whether d has passed. It does not begin a pause that ctx would
// cut short.
func pause(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// requestWithNonce asks once more, at once, if all that was missing is a nonce
// that came with the refusal (RFC 9449, section 8).
func (e *endpoint) requestWithNonce(ctx context.Context, subject string) (*token, *TokenError) {
	if e.prover == nil {
		return e.request(ctx, subject)
	}
	sent := e.prover.nonce(e.config.TokenURL)
	t, failure := e.request(ctx, subject)
	if failure != nil && failure.Code == "use_dpop_nonce" && e.prover.nonce(e.config.TokenURL) != sent {
		return e.request(ctx, subject)
	}
	return t, failure
}

func (e *endpoint) request(ctx context.Context, subject string) (*token, *TokenError) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	form, err := e.form(subject)
	if err != nil { // the key, which may be a key service
		return nil, &TokenError{text: "the client assertion cannot be signed", cause: err}
	}
	request := clientcredentials.Config{
		ClientID:       e.config.ClientID,
		ClientSecret:   e.config.ClientSecret,
		TokenURL:       e.config.TokenURL,
		Scopes:         e.config.Scopes,
		EndpointParams: form,
		AuthStyle:      oauth2.AuthStyleInParams,
	}
	now := e.config.Now()
	answer, err := request.Token(context.WithValue(ctx, oauth2.HTTPClient, e.client))
	if err != nil {
		return nil, tokenError(err, now)
	}
	return e.accept(answer, now)
}

// form returns what Auth0 wants besides what the oauth2 package sends.
func (e *endpoint) form(subject string) (url.Values, error) {
	form := url.Values{"audience": {e.config.Audience}}
	if e.config.Organization != "" {
		form.Set("organization", e.config.Organization)
	}
	if subject != "" {
		form.Set("grant_type", exchangeGrant)
		form.Set("subject_token", subject)
		form.Set("subject_token_type", accessTokenType)
		form.Set("requested_token_type", accessTokenType)
	}
	if e.asserter != nil {
		return form, e.asserter.authenticate(form)
	}
	return form, nil
}

// accept makes a token of an answer that came for a request sent at now.
func (e *endpoint) accept(answer *oauth2.Token, now time.Time) (*token, *TokenError) {
	if answer.Expiry.IsZero() {
		return nil, &TokenError{text: "the token endpoint gave a token without a lifetime"}
	}
	if !isToken(answer.AccessToken) {
		return nil, &TokenError{text: "the token endpoint gave a token that no header can carry"}
	}
	scheme, hash := "Bearer ", ""
	if e.prover != nil {
		// Auth0 ignores the proof, without a word, where the API is not set up for
		// DPoP. Whoever turned DPoP on does not want a token that a thief can use.
		if !strings.EqualFold(answer.TokenType, "DPoP") {
			return nil, &TokenError{text: "a bound token was asked for and the token endpoint gave an unbound one", final: true}
		}
		scheme, hash = "DPoP ", hashToken(answer.AccessToken)
	}
	// oauth2 counts from the wall clock; what it counted is the lifetime.
	life := time.Until(answer.Expiry).Round(time.Second)
	return &token{
		authorization: scheme + answer.AccessToken,
		hash:          hash,
		refresh:       now.Add(life - lead(life)),
		deadline:      now.Add(life - min(life/10, margin)),
	}, nil
}

// margin is for the way to the server and for clocks that differ.
const margin = 5 * time.Second

// lead is how long before its end a token is replaced: a tenth of its life, or a
// minute if that is more, so that a failing endpoint has time to recover; half of
// a life that is shorter than two minutes.
func lead(life time.Duration) time.Duration {
	return min(max(life/10, time.Minute), life/2)
}

// isToken reports whether text is visible ASCII and not empty.
func isToken(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return text != ""
}

var errBrokeOff = errors.New("auth0grpcclient: the transport broke off the request")

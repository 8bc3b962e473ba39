package auth0grpcclient

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/base64url"
)

const (
	requestTime  = 10 * time.Second       // for one request
	fetchTime    = 30 * time.Second       // for all requests of one fetch
	maxRequests  = 4                      // of one fetch
	firstBackoff = 250 * time.Millisecond // doubles from request to request
	maxResponse  = 256 << 10              // bytes of a response

	clientGrant     = "client_credentials"
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
// again, with growing pauses, while that may help and time is left.
func (e *endpoint) fetch(ctx context.Context, subject string) (*token, *TokenError) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	for n := 1; ; n++ {
		t, failure := e.requestWithNonce(ctx, subject)
		if failure == nil {
			return t, nil
		}
		failure.onBehalfOf = subject != ""
		if !failure.retryable || n == maxRequests {
			return nil, failure
		}
		if !sleep(ctx, max(failure.retryAfter, backoff(firstBackoff, n-1))) {
			return nil, failure
		}
	}
}

// backoff returns base doubled n times. The upper half of it is random, so that
// many clients do not come back at the same moment.
func backoff(base time.Duration, n int) time.Duration {
	base <<= n
	return base/2 + rand.N(base/2)
}

// sleep reports whether d has passed. It returns immediately if ctx would end before.
func sleep(ctx context.Context, d time.Duration) bool {
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

// requestWithNonce repeats a request immediately if only a nonce was missing and the
// refusal contained one (RFC 9449, section 8).
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

// request sends one token request.
func (e *endpoint) request(ctx context.Context, subject string) (*token, *TokenError) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	params, err := e.params(subject)
	if err != nil { // the key, which may be a key service
		return nil, &TokenError{text: "the client assertion cannot be signed", cause: err, retryable: true}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.config.TokenURL, strings.NewReader(params.Encode()))
	if err != nil {
		return nil, unreachable(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	now := e.config.Now()
	response, err := e.client.Do(request)
	if err != nil {
		return nil, unreachable(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponse+1))
	if err != nil {
		return nil, unreachable(err)
	}
	if len(body) > maxResponse {
		body = nil // not JSON
	}
	var content tokenResponse
	malformed := json.Unmarshal(body, &content)
	succeeded := response.StatusCode >= 200 && response.StatusCode <= 299
	if !succeeded || content.Error != "" { // some servers report errors with 200
		return nil, refusedResponse(response, &content, params, now)
	}
	if malformed != nil {
		return nil, &TokenError{HTTPStatus: response.StatusCode, text: "the answer of the token endpoint cannot be used"}
	}
	t, failure := e.accept(&content, now)
	if failure != nil {
		failure.HTTPStatus = response.StatusCode
	}
	return t, failure
}

// A tokenResponse is the body of a response with any status.
type tokenResponse struct {
	AccessToken string          `json:"access_token"`
	TokenType   string          `json:"token_type"`
	ExpiresIn   json.RawMessage `json:"expires_in"`
	Error       string          `json:"error"`
	Description string          `json:"error_description"`
}

// params returns the parameters of a token request.
func (e *endpoint) params(subject string) (url.Values, error) {
	params := url.Values{
		"grant_type": {clientGrant},
		"client_id":  {e.config.ClientID},
		"audience":   {e.config.Audience},
	}
	if e.config.ClientSecret != "" {
		params.Set("client_secret", e.config.ClientSecret)
	}
	if len(e.config.Scopes) > 0 {
		params.Set("scope", strings.Join(e.config.Scopes, " "))
	}
	if e.config.Organization != "" {
		params.Set("organization", e.config.Organization)
	}
	if subject != "" {
		params.Set("grant_type", exchangeGrant)
		params.Set("subject_token", subject)
		params.Set("subject_token_type", accessTokenType)
		params.Set("requested_token_type", accessTokenType)
	}
	if e.asserter != nil {
		return params, e.asserter.authenticate(params)
	}
	return params, nil
}

// accept makes a token of a response to a request that was sent at now.
func (e *endpoint) accept(response *tokenResponse, now time.Time) (*token, *TokenError) {
	if !isToken(response.AccessToken) {
		return nil, &TokenError{text: "the token endpoint gave a token that no header can carry"}
	}
	scheme, hash := "Bearer ", ""
	if e.prover != nil {
		// Auth0 ignores the proof, without notice, if the API is not set up for DPoP.
		// A program that turned DPoP on does not want a token that a thief can use.
		if !strings.EqualFold(response.TokenType, "DPoP") {
			return nil, &TokenError{text: "a bound token was asked for and the token endpoint gave an unbound one", permanent: true}
		}
		scheme, hash = "DPoP ", hashToken(response.AccessToken)
	}
	lifetime := lifetimeOf(response, now)
	if lifetime == 0 {
		return nil, &TokenError{text: "the token endpoint gave a token without a lifetime"}
	}
	return &token{
		authorization: scheme + response.AccessToken,
		hash:          hash,
		refresh:       now.Add(lifetime - refreshLead(lifetime)),
		deadline:      now.Add(lifetime - min(lifetime/10, margin)),
	}, nil
}

const (
	// margin is for the way to the server and for clocks that differ.
	margin = 5 * time.Second
	// maxLifetime is the longest lifetime that Auth0 lets an API have. A longer one
	// in an answer is cut down to it.
	maxLifetime = 30 * 24 * time.Hour
)

// lifetimeOf returns the lifetime of a token: expires_in, or the time until its exp
// claim if expires_in is missing or not a positive number of seconds. It returns 0 if
// both are missing. A number may be a string or have a fraction, as some gateways in
// front of a token endpoint write it.
func lifetimeOf(response *tokenResponse, now time.Time) time.Duration {
	text := strings.Trim(string(response.ExpiresIn), `"`)
	if lifetime := wholeSeconds(parseNumber(text)); lifetime > 0 {
		return lifetime
	}
	return wholeSeconds(expiryClaim(response.AccessToken) - float64(now.UnixMilli())/1000)
}

// wholeSeconds returns a number of seconds without its fraction, at most
// maxLifetime, and 0 for less than one.
func wholeSeconds(seconds float64) time.Duration {
	if !(seconds >= 1) { // nor NaN
		return 0
	}
	return time.Duration(min(seconds, maxLifetime.Seconds())) * time.Second
}

// parseNumber returns 0 for a text that is not a number.
func parseNumber(text string) float64 {
	number, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return number
}

// expiryClaim returns the exp claim of a JWT, in Unix seconds. It returns 0 for a
// token that has none. The token is not verified: the server does that.
func expiryClaim(token string) float64 {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0
	}
	payload, ok := base64url.Decode(parts[1])
	if !ok {
		return 0
	}
	var claims struct {
		Expiry float64 `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return 0
	}
	return claims.Expiry
}

// refreshLead is how long before its end a token is replaced: a tenth of its
// lifetime, or a minute if that is more, so that a failing endpoint has time to
// recover; half of a lifetime that is shorter than two minutes.
func refreshLead(lifetime time.Duration) time.Duration {
	return min(max(lifetime/10, time.Minute), lifetime/2)
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

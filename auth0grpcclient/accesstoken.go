package auth0grpcclient

import (
	"context"
	"errors"
	"strings"
)

var errBoundAccessToken = errors.New("auth0grpcclient: AccessToken returns no token that is bound to a key; unset Config.DPoP")

const bearerPrefix = "Bearer "

// AccessToken returns the access token for a call that is not made by gRPC, such as
// one to Auth0's Management API. The caller sends it as "Authorization: Bearer" over
// TLS, to the API of Config.Audience alone.
//
// refused is the token that the API answered with 401, or empty. AccessToken then
// returns another token if the token endpoint gives one, and the same token again if
// the last renewal was too recent. It fetches a token only if there is none, and
// replaces it in the background before it expires.
//
// The error is a [*TokenError], or the error of ctx. It is another one with
// Config.DPoP, because a bound token needs a proof for each call. AccessToken is safe
// for concurrent use.
func (c *Credentials) AccessToken(ctx context.Context, refused string) (string, error) {
	if c.prover != nil {
		return "", errBoundAccessToken
	}
	s, subject, err := c.tokens.tokenSource(ctx)
	if err != nil {
		return "", err
	}
	t, err := s.token(ctx, subject)
	if err != nil {
		return "", err
	}
	if t.authorization == bearerPrefix+refused && s.renew(ctx, t, subject) {
		t = s.current.Load()
	}
	return strings.TrimPrefix(t.authorization, bearerPrefix), nil
}

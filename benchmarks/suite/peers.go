package suite

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	jwtgrpc "github.com/auth0/go-jwt-middleware/v3/integrations/grpc"
	"github.com/auth0/go-jwt-middleware/v3/jwks"
	"github.com/auth0/go-jwt-middleware/v3/validator"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// Names of the peers in tables.
const (
	NoAuth    = "no auth"
	Warm      = "auth0grpc"
	Cold      = "auth0grpc, cache off"
	GoOIDC    = "go-grpc-middleware + go-oidc"
	GoJWT     = "go-jwt-middleware"
	GolangJWT = "golang-jwt + keyfunc"
)

// Peers lists all peers, in the order of the tables.
var Peers = []string{NoAuth, Warm, Cold, GoOIDC, GoJWT, GolangJWT}

// Libraries lists the peers that receive floods.
var Libraries = []string{Warm, GoOIDC, GoJWT, GolangJWT}

// A peer is one way to authenticate: a pair of interceptors, or none. Each checks
// signature, issuer, audience, expiry and the scope of the method. The peers made by hand
// make the other checks of auth0grpc too, see [handClaims].
type peer struct {
	unary  grpc.UnaryServerInterceptor
	stream grpc.StreamServerInterceptor
	issuer *issuerClient // nil for NoAuth
}

// scopes is the table for peers without a table.
var scopes = map[string]string{
	testgrpc.TestService_EmptyCall_FullMethodName:      Scope,
	testgrpc.TestService_FullDuplexCall_FullMethodName: Scope,
}

func (s *Suite) newPeer(name, alg string) (*peer, error) {
	issuer := s.newIssuerClient(alg)
	switch name {
	case NoAuth:
		return &peer{
			unary: func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				return handler(ctx, request)
			},
			stream: func(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
				return handler(service, stream)
			},
			issuer: issuer,
		}, nil
	case Warm:
		return s.newOurs(auth0grpc.Config{}, alg, issuer)
	case Cold:
		return s.newOurs(auth0grpc.Config{CacheSize: auth0grpc.NoCache}, alg, issuer)
	case GoOIDC:
		return s.newGoOIDC(alg, issuer)
	case GoJWT:
		return s.newGoJWT(alg, issuer)
	case GolangJWT:
		return s.newGolangJWT(alg, issuer)
	}
	return nil, fmt.Errorf("suite: no peer is called %q", name)
}

// newOurs returns auth0grpc. config holds the settings that differ from the usual ones.
func (s *Suite) newOurs(config auth0grpc.Config, alg string, issuer *issuerClient) (*peer, error) {
	config.Issuers = []string{s.tenant.Issuer()}
	config.Audiences = []string{auth0grpctest.Audience}
	config.Algorithms = []string{alg}
	config.HTTPClient = issuer.client()
	config.Methods = map[string]auth0grpc.Rule{}
	for method, scope := range scopes {
		config.Methods[method] = auth0grpc.Scopes(scope)
	}
	ours, err := auth0grpc.New(config)
	if err != nil {
		return nil, err
	}
	return &peer{ours.UnaryServerInterceptor(), ours.StreamServerInterceptor(), issuer}, nil
}

// allowed is the scope check that users of a token library write.
func allowed(ctx context.Context, granted string) error {
	method, _ := grpc.Method(ctx)
	wanted, listed := scopes[method]
	if !listed || !slices.Contains(strings.Fields(granted), wanted) {
		return status.Error(codes.PermissionDenied, "insufficient scope")
	}
	return nil
}

type scopeClaim struct {
	Scope string `json:"scope"`
}

type claimsKey struct{}

// newGoOIDC returns the usual composition: go-grpc-middleware reads the token from the
// metadata, and go-oidc verifies it.
func (s *Suite) newGoOIDC(alg string, issuer *issuerClient) (*peer, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(s.ctx, issuer.client()), s.tenant.Issuer())
	if err != nil {
		return nil, err
	}
	verifier := provider.Verifier(&oidc.Config{
		ClientID:             auth0grpctest.Audience,
		SupportedSigningAlgs: []string{alg},
	})
	check := func(ctx context.Context) (context.Context, error) {
		raw, err := auth.AuthFromMD(ctx, "bearer")
		if err != nil {
			return nil, err
		}
		token, err := verifier.Verify(ctx, raw)
		if err != nil {
			return nil, status.Error(codes.Unauthenticated, "invalid token")
		}
		var claims handClaims
		if err := token.Claims(&claims); err != nil || !claims.valid(token.Subject, token.Audience, token.IssuedAt) {
			return nil, status.Error(codes.Unauthenticated, "invalid token")
		}
		if err := allowed(ctx, claims.Scope); err != nil {
			return nil, err
		}
		return context.WithValue(ctx, claimsKey{}, token), nil
	}
	return &peer{auth.UnaryServerInterceptor(check), auth.StreamServerInterceptor(check), issuer}, nil
}

// Validate implements the custom claims of go-jwt-middleware.
func (*scopeClaim) Validate(context.Context) error { return nil }

// newGoJWT returns Auth0's own middleware with its gRPC interceptors and its caching
// provider. It has no rules for methods, so the scope check of Auth0's quickstart
// follows, on its custom claims.
func (s *Suite) newGoJWT(alg string, issuer *issuerClient) (*peer, error) {
	address, err := url.Parse(s.tenant.Issuer())
	if err != nil {
		return nil, err
	}
	provider, err := jwks.NewCachingProvider(jwks.WithIssuerURL(address), jwks.WithCustomClient(issuer.client()))
	if err != nil {
		return nil, err
	}
	tokens, err := validator.New(
		validator.WithKeyFunc(provider.KeyFunc),
		validator.WithAlgorithm(validator.SignatureAlgorithm(alg)),
		validator.WithIssuer(s.tenant.Issuer()),
		validator.WithAudience(auth0grpctest.Audience),
		validator.WithCustomClaims(func() *scopeClaim { return &scopeClaim{} }),
	)
	if err != nil {
		return nil, err
	}
	middleware, err := jwtgrpc.New(jwtgrpc.WithValidator(tokens))
	if err != nil {
		return nil, err
	}
	check := func(ctx context.Context) error {
		claims, err := jwtgrpc.GetClaims[*validator.ValidatedClaims](ctx)
		if err != nil {
			return status.Error(codes.Unauthenticated, "invalid token")
		}
		return allowed(ctx, claims.CustomClaims.(*scopeClaim).Scope)
	}
	unary, stream := middleware.UnaryServerInterceptor(), middleware.StreamServerInterceptor()
	return &peer{
		unary: func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			return unary(ctx, request, info, func(ctx context.Context, request any) (any, error) {
				if err := check(ctx); err != nil {
					return nil, err
				}
				return handler(ctx, request)
			})
		},
		stream: func(service any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			return stream(service, ss, info, func(service any, ss grpc.ServerStream) error {
				if err := check(ss.Context()); err != nil {
					return err
				}
				return handler(service, ss)
			})
		},
		issuer: issuer,
	}, nil
}

// handClaims are the claims that a program needs for the checks of auth0grpc which
// neither go-oidc nor golang-jwt makes.
type handClaims struct {
	scopeClaim
	AuthorizedParty string          `json:"azp"`
	ClientID        string          `json:"client_id"`
	Nonce           json.RawMessage `json:"nonce"`
	AccessTokenHash json.RawMessage `json:"at_hash"`
	CodeHash        json.RawMessage `json:"c_hash"`
	Events          json.RawMessage `json:"events"`
	Confirmation    json.RawMessage `json:"cnf"`
}

// valid makes those checks: an access token, of one client and one subject, from the
// past, and bound to nothing.
func (c *handClaims) valid(subject string, audience []string, issuedAt time.Time) bool {
	client := cmp.Or(c.AuthorizedParty, c.ClientID)
	return subject != "" && !issuedAt.IsZero() && !issuedAt.After(time.Now()) &&
		(c.ClientID == "" || c.ClientID == client) && !slices.Equal(audience, []string{client}) &&
		c.Nonce == nil && c.AccessTokenHash == nil && c.CodeHash == nil && c.Events == nil && c.Confirmation == nil
}

type jwtClaims struct {
	handClaims
	jwt.RegisteredClaims
}

// isAccessToken reports whether a header has the type of an access token, or none.
func isAccessToken(header map[string]any) bool {
	typ, ok := header["typ"].(string)
	return header["typ"] == nil || ok && (strings.EqualFold(typ, "JWT") || strings.EqualFold(typ, "at+jwt"))
}

// newGolangJWT returns golang-jwt with keyfunc's key set at its defaults.
func (s *Suite) newGolangJWT(alg string, issuer *issuerClient) (*peer, error) {
	keys, err := keyfunc.NewDefaultOverrideCtx(s.ctx, []string{s.tenant.Issuer() + ".well-known/jwks.json"},
		keyfunc.Override{Client: issuer.client()})
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{alg}),
		jwt.WithIssuer(s.tenant.Issuer()),
		jwt.WithAudience(auth0grpctest.Audience),
		jwt.WithExpirationRequired(),
		jwt.WithStrictDecoding(),
	)
	check := func(ctx context.Context) (context.Context, error) {
		raw, err := auth.AuthFromMD(ctx, "bearer")
		if err != nil {
			return nil, err
		}
		var claims jwtClaims
		token, err := parser.ParseWithClaims(raw, &claims, keys.KeyfuncCtx(ctx))
		if err != nil || !token.Valid || !isAccessToken(token.Header) || claims.IssuedAt == nil ||
			!claims.valid(claims.Subject, claims.Audience, claims.IssuedAt.Time) {
			return nil, status.Error(codes.Unauthenticated, "invalid token")
		}
		if err := allowed(ctx, claims.Scope); err != nil {
			return nil, err
		}
		return context.WithValue(ctx, claimsKey{}, &claims), nil
	}
	return &peer{auth.UnaryServerInterceptor(check), auth.StreamServerInterceptor(check), issuer}, nil
}

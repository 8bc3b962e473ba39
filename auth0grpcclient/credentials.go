package auth0grpcclient

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc/internal/configerror"
)

// Credentials put an access token on every call of a connection. They are made
// by New or NewOnBehalfOf, may serve several connections to servers of the same
// API, and are safe for concurrent use.
//
// They implement credentials.PerRPCCredentials. DialOptions is the way to
// install them: without the interceptors a refused token is not replaced before
// its time, and servers' DPoP nonces are not learned.
type Credentials struct {
	tokens tokenStore
	prover *prover // nil without DPoP
	config Config
	// misuse is the code of a call that cannot have our token because of an error in
	// the program. For calls on behalf of a user it is Internal: a handler may return
	// it to the user, who is not the cause.
	misuse codes.Code
}

// A tokenStore selects the token source of a call.
type tokenStore interface {
	// tokenSource returns the source and the subject token for a call, which is "" for
	// the client's own.
	tokenSource(ctx context.Context) (s *source, subject string, err error)
}

// clientTokens is the store of the client's own token.
type clientTokens struct{ source *source }

func (t clientTokens) tokenSource(context.Context) (*source, string, error) { return t.source, "", nil }

var _ credentials.PerRPCCredentials = (*Credentials)(nil)

// New validates config and returns credentials with the client's own token, or all
// faults in config together (see [ConfigError]). It does no I/O and starts no
// goroutine: the first call fetches the token, or [Credentials.Ready].
func New(config Config) (*Credentials, error) {
	c, e, err := newCredentials(config)
	if err != nil {
		return nil, err
	}
	c.tokens = clientTokens{&source{fetch: e.fetch, now: e.config.Now}}
	return c, nil
}

// newCredentials returns credentials without a store, and the endpoint to fetch tokens
// from.
func newCredentials(config Config) (*Credentials, *endpoint, error) {
	if faults := config.faults(); len(faults) > 0 {
		return nil, nil, configerror.Join(faults)
	}
	c := &Credentials{config: config.withDefaults(), misuse: codes.Unauthenticated}
	if config.DPoP {
		var err error
		if c.prover, err = newProver(&c.config); err != nil {
			return nil, nil, err
		}
	}
	e := &endpoint{config: &c.config, client: c.config.httpClient(c.prover), prover: c.prover}
	if config.PrivateKey != nil {
		e.asserter = newAsserter(&c.config)
	}
	return c, e, nil
}

// DialOptions returns the credentials and both interceptors as options for
// grpc.NewClient, so that none is forgotten. The interceptors chain, in the order
// of the options, with others given by grpc.WithChainUnaryInterceptor and
// grpc.WithChainStreamInterceptor: one before them sees a repeated call once,
// one behind them sees each attempt.
//
// A call on such a connection fails before it is sent if it would carry a second
// credential: by grpc.PerRPCCredentials among its options, by other Credentials on
// the same connection, or by authorization or dpop metadata. A call that carries
// two is refused by every server, or passes as a client that was not meant.
func (c *Credentials) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithPerRPCCredentials(c),
		grpc.WithChainUnaryInterceptor(c.unaryInterceptor(true)),
		grpc.WithChainStreamInterceptor(c.streamInterceptor(true)),
	}
}

// Ready fetches the token unless there is one, so that a program learns at its start
// that it will get none. The error is a [*TokenError], or the error of ctx. Credentials
// of [NewOnBehalfOf] need a caller's token in ctx for it.
func (c *Credentials) Ready(ctx context.Context) error {
	s, subject, err := c.tokens.tokenSource(ctx)
	if err == nil {
		_, err = s.token(ctx, subject)
	}
	return err
}

// RequireTransportSecurity reports whether the credentials need TLS. They do unless
// Config.InsecureAllowPlaintext is set. gRPC calls it once per connection.
func (c *Credentials) RequireTransportSecurity() bool { return !c.config.InsecureAllowPlaintext }

// GetRequestMetadata returns the metadata of one call: authorization, and dpop
// if DPoP is on. gRPC calls it with the call's context. If there is no token, the
// error is a status error; see [TokenError].
func (c *Credentials) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	info, _ := credentials.RequestInfoFromContext(ctx)
	// gRPC calls RequireTransportSecurity once per connection. This check examines the
	// connection of each call, and refuses a connection that it cannot examine.
	if !c.config.InsecureAllowPlaintext && credentials.CheckSecurityLevel(info.AuthInfo, credentials.PrivacyAndIntegrity) != nil {
		return nil, status.Error(c.misuse, insecureText)
	}
	if values := metadata.ValueFromOutgoingContext(ctx, "authorization"); len(values) > 0 {
		if c.config.InsecureForwardAuthorization && len(values) == 1 {
			return nil, nil
		}
		return nil, status.Error(c.misuse, forwardedText)
	}
	if len(metadata.ValueFromOutgoingContext(ctx, "dpop")) > 0 {
		return nil, status.Error(c.misuse, foreignProofText)
	}
	s, subject, err := c.tokens.tokenSource(ctx)
	if err != nil {
		return nil, err
	}
	t, err := s.token(ctx, subject)
	if err != nil {
		return nil, err
	}
	out := sent{source: s, token: t, subject: subject}
	// A map for each call: gRPC does not promise to leave it as it is.
	md := map[string]string{"authorization": t.authorization}
	if c.prover != nil {
		if md["dpop"], err = c.prove(&out, info.Method, uri); err != nil {
			return nil, err
		}
	}
	if call, ok := ctx.Value(callKey{}).(*call); ok && call.credentials == c {
		call.attempt.store(out)
	}
	return md, nil
}

const (
	insecureText     = "auth0grpcclient: the connection is not secured by TLS, so no token is sent over it"
	forwardedText    = "auth0grpcclient: the outgoing metadata already has an authorization value, which is not forwarded; exchange it with NewOnBehalfOf"
	foreignProofText = "auth0grpcclient: the outgoing metadata already has a dpop value; a call carries one credential"
	secondText       = "auth0grpcclient: the call has credentials besides these; a call carries one credential"
)

var (
	errNoMethod = status.Error(codes.Internal,
		"auth0grpcclient: a DPoP proof needs the method and the authority of a gRPC call, and the context has none")
	errNoProof = status.Error(codes.Internal, "auth0grpcclient: the DPoP proof cannot be signed")
)

// prove returns the proof for a call of method, and stores the nonce in out.
func (c *Credentials) prove(out *sent, method string, uri []string) (string, error) {
	out.server = c.config.Authority
	if out.server == "" && len(uri) > 0 {
		// "https://AUTHORITY/package.Service", without the default port.
		host, _, _ := strings.Cut(strings.TrimPrefix(uri[0], "https://"), "/")
		out.server = "https://" + host
	}
	if out.server == "" || method == "" {
		return "", errNoMethod
	}
	out.nonce = c.prover.nonce(out.server)
	proof, err := c.prover.prove(out.server+method, out.token.hash, out.nonce)
	if err != nil {
		return "", errNoProof // the key's error text must not be sent
	}
	return proof, nil
}

// An attempt tells the interceptors which token and nonce a call carried. gRPC may
// send a call more than once by itself; the last one counts.
type attempt struct {
	mu   sync.Mutex // gRPC's goroutines against the interceptor's
	last sent
}

func (a *attempt) store(out sent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = out
}

func (a *attempt) load() sent {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// A sent holds the token and nonce of one attempt of a call.
type sent struct {
	source        *source // nil if the call carried no token of these credentials
	token         *token
	subject       string
	server, nonce string // DPoP only
}

// Format prints the application and the API for every verb, so credentials in a log
// show no token.
func (c *Credentials) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "Credentials(client %q, audience %q)", c.config.ClientID, c.config.Audience)
}

// LogValue is Format for log/slog.
func (c *Credentials) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Package auth0grpchttp puts the decision of an [auth0grpc.Interceptor] in front of
// net/http handlers: Connect and gRPC over ServeHTTP, grpc-gateway in process, and
// plain HTTP. One table then decides at every door.
//
//	mux.Handle("/", auth0grpchttp.Handler(guard, connectHandler))
//
// The decision comes before the body is read. A refused request gets its answer in its
// own protocol: a JSON error with status 401, 403, 429 or 503 for plain HTTP and unary
// Connect, an end-of-stream message for Connect streams, and grpc-status for gRPC and
// gRPC-Web. It has WWW-Authenticate, DPoP-Nonce and Retry-After where they apply.
//
// The package depends on net/http and not on the libraries behind the door.
package auth0grpchttp

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

// Handler returns a handler that decides on each request, and calls next only if the
// table admits it. The context of next carries the [*auth0grpc.Token]. If a stream ends
// because its token expired or was revoked, the cause of this context is the
// [*auth0grpc.Refusal], which next should send.
//
// By default the path of the request is the full method, as in Connect and gRPC. Other
// paths need [FullMethod], [Routes] or [MethodFunc]. A request that no method is known
// for is refused like a call of an unlisted method.
//
// The door sees no message. Handler panics if a method behind it has [auth0grpc.Rule.Same]
// or [auth0grpc.Rule.Relation]; of [FullMethod] and [Routes] it knows the methods.
//
// Do not decide twice: a gRPC server with interceptors behind this handler would find a
// DPoP proof used already.
func Handler(guard *auth0grpc.Interceptor, next http.Handler, options ...Option) http.Handler {
	return Middleware(guard, options...)(next)
}

// Middleware returns [Handler] as a function of next, for middleware chains.
func Middleware(guard *auth0grpc.Interceptor, options ...Option) func(next http.Handler) http.Handler {
	c := &config{guard: guard, method: methodOfPath}
	for _, option := range options {
		option(c)
	}
	c.mustNotNeedMessages()
	return func(next http.Handler) http.Handler { return door{c, next} }
}

// mustNotNeedMessages panics if a method behind the door has a rule about the message,
// which the door does not see. A row that comes later by SetMethods refuses its calls.
func (c *config) mustNotNeedMessages() {
	rows := c.guard.Methods()
	for pattern, rule := range rows {
		if rule.NeedsMessage() && c.serves(pattern, rows) {
			panic("auth0grpchttp: row " + pattern + " has rules about the request message, which this handler does not see")
		}
	}
}

// serves reports whether the door may serve a method of the row.
func (c *config) serves(pattern string, rows map[string]auth0grpc.Rule) bool {
	if c.methods == nil {
		return true
	}
	return slices.ContainsFunc(c.methods, func(fullMethod string) bool {
		if _, exact := rows[fullMethod]; exact {
			return pattern == fullMethod
		}
		service, ok := strings.CutSuffix(pattern, "*")
		return ok && strings.HasPrefix(fullMethod, service) && !strings.Contains(fullMethod[len(service):], "/")
	})
}

// An Option changes a [Handler].
type Option func(*config)

type config struct {
	guard       *auth0grpc.Interceptor
	method      func(*http.Request) (fullMethod string, ok bool)
	methods     []string                                       // the full methods that method can return; nil: any
	certificate func(*http.Request) (*x509.Certificate, error) // nil: of the connection
	preflight   http.Handler                                   // nil: preflights are decided on like all requests
}

// Preflight answers CORS preflight requests with handler, without a decision: a browser
// sends them without a token. They are OPTIONS requests with Origin and
// Access-Control-Request-Method. They never reach the handler behind the door. Default:
// they are decided on like other requests, so they are refused.
func Preflight(handler http.Handler) Option {
	return func(c *config) { c.preflight = handler }
}

// ClientCertificate sets the function that returns the certificate of the client, for
// servers behind a proxy that terminates TLS. It must read the certificate from a place
// that only the proxy can write to. It is called for each request, so it should be
// quick. An error counts as no certificate. Default: the certificate of the connection.
// [auth0grpc.MTLSConfig.Certificate], if set, is used instead of both.
func ClientCertificate(certificate func(*http.Request) (*x509.Certificate, error)) Option {
	return func(c *config) { c.certificate = certificate }
}

// A door is a handler behind a decision.
type door struct {
	*config
	next http.Handler
}

func (d door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.preflight != nil && isPreflight(r) {
		d.preflight.ServeHTTP(w, r)
		return
	}
	fullMethod, ok := d.method(r)
	if !ok {
		fullMethod = "" // which no row covers
	}
	request := auth0grpc.Request{
		FullMethod:    fullMethod,
		Authorization: r.Header["Authorization"],
		DPoP:          r.Header["Dpop"],
		Certificate:   d.certificateOf(r),
		HTTPMethod:    r.Method,
		HTTPPath:      pathOf(r),
	}
	if isStreaming(r) {
		d.serveStream(w, r, request)
		return
	}
	ctx, err := d.guard.Check(r.Context(), request)
	if err != nil {
		refuse(w, r, err)
		return
	}
	d.serve(w, r, ctx)
}

// serve calls the handler with the context of an admitted request.
func (d door) serve(w http.ResponseWriter, r *http.Request, ctx context.Context) {
	if nonce, ok := auth0grpc.DPoPNonceFromContext(ctx); ok {
		w.Header().Set("DPoP-Nonce", nonce)
	}
	dropPlanted(r.Header)
	d.next.ServeHTTP(w, r.WithContext(ctx))
}

// serveStream serves a request of a streaming protocol. When the server ends it, the
// context of the handler ends and its reads fail. The handler then sends its own last
// message: nothing else can write to the client while the handler runs.
func (d door) serveStream(w http.ResponseWriter, r *http.Request, request auth0grpc.Request) {
	stream, err := d.guard.CheckStream(r.Context(), request)
	if err != nil {
		refuse(w, r, err)
		return
	}
	defer stream.Close()
	var mu sync.Mutex
	returned := false // the connection may serve another request by now
	stop := context.AfterFunc(stream.Context(), func() {
		mu.Lock()
		defer mu.Unlock()
		if !returned {
			_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) // an error: such a writer has none
		}
	})
	defer func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		returned = true
	}()
	d.serve(w, r, stream.Context())
}

// certificateOf returns the certificate of the client, or nil.
func (c *config) certificateOf(r *http.Request) *x509.Certificate {
	if c.certificate != nil {
		certificate, err := c.certificate(r)
		if err != nil {
			return nil
		}
		return certificate
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// dropPlanted removes the headers that old versions of grpc-gateway turn into the
// metadata of a credential or a proof: they were not decided on.
func dropPlanted(header http.Header) {
	for _, name := range [...]string{"Grpc-Metadata-Authorization", "Grpc-Metadata-Dpop"} {
		delete(header, name)
	}
}

// pathOf returns the path as the client sent it, which a DPoP proof names. Handlers in
// front, such as [http.StripPrefix], change the URL and not the request line.
func pathOf(r *http.Request) string {
	path := r.RequestURI
	if !strings.HasPrefix(path, "/") { // absolute-form, or not from a server
		path = r.URL.EscapedPath()
	}
	path, _, _ = strings.Cut(path, "?")
	if path == "" {
		return "/"
	}
	return path
}

// refuse answers a refused request. Each error of Check is a [*auth0grpc.Refusal].
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *auth0grpc.Refusal
	if !errors.As(err, &refusal) {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	WriteRefusal(w, r, refusal)
}

package auth0grpcconnect

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpchttp"
)

// Handler returns next, the handlers of [connecthttp.Mount], with decisions on the
// requests that Connect answers without calling an interceptor. They name a procedure or
// service that is not registered, or have a wrong HTTP method, content type, compression
// or HTTP version. Without Handler, their statuses tell a stranger which procedures exist.
//
//	mux := http.NewServeMux()
//	connecthttp.Mount(mux, server)
//	http.Serve(listener, auth0grpcconnect.Handler(guard, mux))
//
// server needs [Interceptor] with the same guard. next must serve nothing but Connect:
// any other handler would run before the decision, which holds back only its answer.
//
// Each request is decided on once: by the interceptor if Connect calls it, and otherwise
// by the path before Connect's answer is sent. All refusals have the form of
// [auth0grpchttp.WriteRefusal], so they do not tell which of the two decided. Answer CORS
// preflight requests in front of this handler: they have no token.
func Handler(guard *auth0grpc.Interceptor, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := &guardedWriter{ResponseWriter: w, guard: guard, request: r, before: maps.Clone(w.Header())}
		next.ServeHTTP(g, r.WithContext(context.WithValue(r.Context(), verdictKey{}, &g.verdict)))
		g.finish()
	})
}

type verdictKey struct{}

// A verdict is the decision of the interceptor on a request. It is zero until then.
type verdict struct {
	allowed bool
	refusal *auth0grpc.Refusal
}

// record stores the decision of the interceptor for [Handler], if there is one. Later
// decisions belong to calls that a service makes in process with the same context.
func record(ctx context.Context, err error) {
	v, ok := ctx.Value(verdictKey{}).(*verdict)
	if !ok || v.allowed || v.refusal != nil {
		return
	}
	v.allowed = err == nil
	_ = errors.As(err, &v.refusal)
}

// A guardedWriter holds the response back until the request is decided on. A refusal
// replaces the response. It is used on the goroutine of the request until the
// interceptor has allowed the call.
type guardedWriter struct {
	http.ResponseWriter
	guard   *auth0grpc.Interceptor
	request *http.Request
	before  http.Header // as of the start
	verdict verdict
	refused bool
}

// pass reports whether the response may be sent. The first call sends the refusal, if
// the request is refused.
func (g *guardedWriter) pass() bool {
	if g.verdict.allowed || g.refused {
		return !g.refused
	}
	if g.verdict.refusal == nil {
		g.decide()
	}
	if g.verdict.allowed {
		return true
	}
	g.refused = true
	header := g.Header()
	clear(header)
	maps.Copy(header, g.before)
	auth0grpchttp.WriteRefusal(g.ResponseWriter, g.request, g.verdict.refusal)
	return false
}

// decide decides by the path, which names a method only in its one spelling.
func (g *guardedWriter) decide() {
	method := g.request.URL.Path
	if g.request.URL.RawPath != "" {
		method = ""
	}
	request := auth0grpc.Request{
		FullMethod: method, HTTPMethod: g.request.Method, HTTPPath: g.request.URL.EscapedPath(), MessagesFollow: true,
		Authorization: g.request.Header["Authorization"], DPoP: g.request.Header["Dpop"],
	}
	if state := g.request.TLS; state != nil && len(state.PeerCertificates) > 0 {
		request.Certificate = state.PeerCertificates[0]
	}
	stream, err := g.guard.CheckStream(g.request.Context(), request)
	if err == nil {
		stream.Close()
	}
	g.verdict.allowed = err == nil
	_ = errors.As(err, &g.verdict.refusal) // each error is a refusal
}

// finish decides on a request that got no response, and drops the trailers of a response
// that was replaced.
func (g *guardedWriter) finish() {
	if g.pass() {
		return
	}
	for key := range g.Header() {
		if strings.HasPrefix(key, http.TrailerPrefix) {
			delete(g.Header(), key)
		}
	}
}

func (g *guardedWriter) WriteHeader(status int) {
	if g.pass() {
		g.ResponseWriter.WriteHeader(status)
	}
}

func (g *guardedWriter) Write(p []byte) (int, error) {
	if g.pass() {
		return g.ResponseWriter.Write(p)
	}
	return len(p), nil
}

// Flush implements [http.Flusher], which Connect needs for streams.
func (g *guardedWriter) Flush() {
	if g.pass() {
		_ = http.NewResponseController(g.ResponseWriter).Flush() // an error: it cannot
	}
}

// Unwrap serves [http.ResponseController].
func (g *guardedWriter) Unwrap() http.ResponseWriter { return g.ResponseWriter }

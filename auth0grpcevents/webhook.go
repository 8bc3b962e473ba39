package auth0grpcevents

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

// bodyTime is how long a sender may take for the body of a request.
const bodyTime = 10 * time.Second

// Webhook returns a handler for the destination "webhook" of an Auth0 event stream. It
// revokes tokens as [Follow] does. Each replica may serve it, behind https. It needs no
// Store and no leader.
//
// The sender authenticates with one of Config.Secrets, which are compared in constant
// time before the body is read. The body is bounded in size (4 MiB) and in time (10
// seconds).
//
// The handler answers 204 when the revocation is published, and for events that end no
// tokens, duplicates, tests and events of unknown types. It answers 503 if the
// revocation cannot be published, and Auth0 then tries again. It answers 401 without a
// valid secret, 403 for an event of another tenant, 400 for one that lacks a field, 413
// for a body that is too large, and 405 for another method. Auth0 does not try again
// after these, and it disables a stream after several failures in a row.
//
// With faults in config the handler answers 503 to every request, and Config.Logger
// receives them once as an error. Call [Config.Check] to stop a program that has them.
func Webhook(guard *auth0grpc.Interceptor, config Config) http.Handler {
	complete, err := config.complete(guard, false, true)
	if err != nil {
		logger := config.Logger
		if logger == nil {
			logger = slog.Default()
		}
		logger.Error("auth0grpcevents: the webhook is not configured and refuses every event", "error", err)
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "not configured", http.StatusServiceUnavailable)
		})
	}
	h := &webhook{config: complete, applier: newApplier(guard, complete), feed: outage{config: complete, service: "the revocation feed"}}
	for _, secret := range complete.Secrets {
		h.secrets = append(h.secrets, sha256.Sum256([]byte(secret)))
	}
	return h
}

// A webhook is the handler of [Webhook].
type webhook struct {
	config  *Config
	applier *applier
	secrets [][sha256.Size]byte
	feed    outage
}

// ServeHTTP receives one event.
func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	// net/http reads the rest of a body after the handler, so this bounds senders
	// without a secret as well. Not every ResponseWriter has deadlines.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "want POST", http.StatusMethodNotAllowed)
		return
	}
	if !h.authenticated(r.Header) {
		h.config.Monitor.update(func(s *Stats) { s.Refused++ })
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "want the secret of the event stream", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		h.config.Monitor.count(outcomeMalformed)
		h.applier.log.warn(r.Context(), "auth0grpcevents: skipped an event that is too large", "oversize", "limit", maxMessage)
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	case err != nil: // 5xx, so that Auth0 sends it again
		http.Error(w, "the body cannot be read", http.StatusServiceUnavailable)
		return
	}
	h.answer(r.Context(), w, body)
}

// answer applies an event and answers when its revocation is published.
func (h *webhook) answer(ctx context.Context, w http.ResponseWriter, body []byte) {
	switch result, err := h.applier.apply(ctx, body); result {
	case outcomeFailed:
		if ctx.Err() == nil { // or the sender left
			h.feed.begin(ctx, err)
		}
		http.Error(w, "not possible now, try again", http.StatusServiceUnavailable)
	case outcomeOtherTenant:
		http.Error(w, "the event is of another tenant", http.StatusForbidden)
	case outcomeMalformed:
		http.Error(w, "the event cannot be used", http.StatusBadRequest)
	case outcomeRevoked:
		h.feed.end(ctx)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// authenticated reports whether a request carries one of the secrets, in exactly one
// value of its header. The time does not depend on the secrets: hashes of one length are
// compared, and all of them.
func (h *webhook) authenticated(header http.Header) bool {
	name := h.config.SecretHeader
	if name == "" {
		name = "Authorization"
	}
	values := header.Values(name)
	if len(values) != 1 {
		return false
	}
	secret := values[0]
	if h.config.SecretHeader == "" {
		secret = credential(secret)
	}
	presented, match := sha256.Sum256([]byte(secret)), 0
	for i := range h.secrets {
		match |= subtle.ConstantTimeCompare(presented[:], h.secrets[i][:])
	}
	return match == 1
}

// credential returns the secret of an Authorization value: the token of the scheme
// Bearer, or user and password of the scheme Basic. It returns "" for any other value,
// and no secret is empty.
func credential(value string) string {
	scheme, secret, _ := strings.Cut(value, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return secret
	case strings.EqualFold(scheme, "Basic"):
		if text, err := base64.StdEncoding.DecodeString(secret); err == nil {
			return string(text)
		}
	}
	return ""
}

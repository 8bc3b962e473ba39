package auth0grpc

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// A Refusal is the error of a refused call, in a form for each transport. The
// interceptors return it, and so does [Interceptor.Check]. Find it with errors.As. A
// client in another process receives only its status.
//
// The client must get only the status, which is made once. The cause behind it, for
// errors.Is and logs, is for the server; logs are not secret either. So neither
// contains any part of the token. A Refusal is immutable and safe for concurrent use.
type Refusal struct {
	sentinel        error // the sentinel
	reason          Reason
	status          *status.Status
	challenge       metadata.MD   // nil if the outcome has none
	retryDelay      time.Duration // 0 unless the call may be retried
	challengeParams *string       // of the challenge, for schemes other than Bearer; nil if there is none
	cause           error         // nil if the reason is enough
	rule            string        // the rule about the message that fell short, or empty
}

type refusal = Refusal

// Error returns the text of the status and of the cause, for logs.
func (r *refusal) Error() string {
	if r.cause == nil {
		return r.status.Message()
	}
	return r.status.Message() + ": " + r.cause.Error()
}

// Reason returns why the call was refused. It is "" if the caller's context ended before
// the decision.
func (r *Refusal) Reason() Reason { return r.reason }

// GRPCStatus returns the status for the client: a fixed text, with a
// google.rpc.ErrorInfo and, if the call may be repeated later, a google.rpc.RetryInfo.
// It makes gRPC send this status and not the text of Error.
func (r *refusal) GRPCStatus() *status.Status { return r.status }

// HTTPStatus returns the status code of HTTP for the client: 401, 403, 404, 429, 500 or 503, and
// 499 or 504 if the caller's context ended before the decision.
func (r *Refusal) HTTPStatus() int {
	switch r.status.Code() {
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.NotFound: // Rule.HideExistence
		return http.StatusNotFound
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.Canceled:
		return 499 // nginx's code for a client that left; net/http has no name for it
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// Challenges returns the values of WWW-Authenticate for the client (RFC 6750, section 3,
// and RFC 9449, section 7.1), one for each scheme; nil if the outcome has none.
func (r *Refusal) Challenges() []string { return slices.Clone(r.challenge.Get(challengeHeader)) }

// DPoPNonce returns the nonce that the client's next proof must contain, for the header
// DPoP-Nonce; "" if the refusal demands none.
func (r *Refusal) DPoPNonce() string {
	if nonces := r.challenge.Get(nonceHeader); len(nonces) > 0 {
		return nonces[0]
	}
	return ""
}

// RetryAfter returns the delay after which the client may repeat the call, at least a
// second; 0 if repeating does not help. In HTTP it is the header Retry-After, in whole
// seconds.
func (r *Refusal) RetryAfter() time.Duration { return r.retryDelay }

// Unwrap returns the kind of the refusal, such as [ErrInvalidToken], and its cause.
func (r *refusal) Unwrap() []error {
	if r.cause == nil {
		return []error{r.sentinel}
	}
	return []error{r.sentinel, r.cause}
}

// withCause returns r with a cause. The caller must ensure that the cause's text is safe.
func (r *refusal) withCause(cause error) *refusal {
	clone := *r
	clone.cause = cause
	return &clone
}

// underHandler returns r without the mark, for a call whose handler has started.
func (r *refusal) underHandler() *refusal {
	clone := *r
	if unmarked := withoutMark(r.status); unmarked != nil {
		clone.status = unmarked
	}
	return &clone
}

// withChallenge returns r with another challenge.
func (r *refusal) withChallenge(challenge metadata.MD) *refusal {
	clone := *r
	clone.challenge = challenge
	return &clone
}

// withResourceMetadata returns r with the address of the protected resource metadata in
// each challenge (RFC 9728, section 5.1), or r if there is no address or no challenge.
func (r *refusal) withResourceMetadata(address string) *refusal {
	if address == "" || r.challenge == nil {
		return r
	}
	challenge := r.challenge.Copy()
	for n, value := range challenge[challengeHeader] {
		separator := ", "
		if !strings.Contains(value, " ") { // the scheme alone
			separator = " "
		}
		challenge[challengeHeader][n] = value + separator + `resource_metadata="` + address + `"`
	}
	return r.withChallenge(challenge)
}

// sendChallenge sets the challenge for the client. It goes out both as header and as
// trailer: HTTP gateways turn headers into HTTP headers, while the errors of most
// client libraries (grpc-js, grpcio) have only trailers. Behind net/http's ServeHTTP it
// is only a header: RFC 9110, section 6.5.1, allows no such trailer, and net/http would
// log each one. Errors of SetHeader and SetTrailer mean that the call has ended; then the
// client gets only the status. Without a transport stream both would format the whole
// context into an error.
//
// A refusal to be retried has a trailer for the retries of gRPC itself, which do not
// read RetryInfo (gRFC A6). It has no header: any header switches those off.
func (r *refusal) sendChallenge(ctx context.Context) {
	if grpc.ServerTransportStreamFromContext(ctx) == nil {
		return
	}
	if r.retryDelay > 0 {
		_ = grpc.SetTrailer(ctx, metadata.Pairs(pushbackTrailer, strconv.FormatInt(r.retryDelay.Milliseconds(), 10)))
	}
	if r.challenge == nil {
		return
	}
	_ = grpc.SetHeader(ctx, r.challenge)
	if ctx.Value(http.ServerContextKey) == nil {
		_ = grpc.SetTrailer(ctx, r.challenge)
	}
}

// The keys of response metadata, which are headers in HTTP.
const (
	challengeHeader = "www-authenticate"
	nonceHeader     = "dpop-nonce"
)

// pushbackTrailer holds the milliseconds after which a client may retry.
const pushbackTrailer = "grpc-retry-pushback-ms"

// newTokenRefusal returns an Unauthenticated refusal with the challenge of RFC 6750,
// section 3: code is "" (no token: no error code), invalid_request or invalid_token.
func newTokenRefusal(sentinel error, code string, reason Reason, text string) *refusal {
	var challengeParams string
	if code != "" {
		challengeParams = `error="` + code + `", error_description="` + text + `"`
	}
	return newRefusal(sentinel, codes.Unauthenticated, errorInfo(reason), text, &challengeParams)
}

func errorInfo(reason Reason) *errdetails.ErrorInfo {
	return &errdetails.ErrorInfo{Reason: string(reason), Domain: ErrorDomain}
}

// newRefusal makes the status: a fixed text and an ErrorInfo, which is marked with
// [BeforeHandlerKey]. See [refusal.underHandler] for a refusal that comes later.
func newRefusal(sentinel error, code codes.Code, info *errdetails.ErrorInfo, text string, challengeParams *string) *refusal {
	if info.Metadata == nil {
		info.Metadata = make(map[string]string, 1)
	}
	info.Metadata[BeforeHandlerKey] = "true"
	r := &refusal{sentinel: sentinel, reason: Reason(info.Reason), challengeParams: challengeParams}
	r.status = mustDetail(status.New(code, messagePrefix+text), info)
	if challengeParams != nil {
		r.challenge = metadata.Pairs(challengeHeader, strings.TrimSpace("Bearer "+*challengeParams))
	}
	return r
}

// messagePrefix names the package in the message of each status.
const messagePrefix = "auth0grpc: "

// mustDetail adds a detail. Adding fails only for codes.OK and for messages that cannot
// be marshalled; neither occurs here.
func mustDetail(s *status.Status, detail protoadapt.MessageV1) *status.Status {
	detailed, err := s.WithDetails(detail)
	if err != nil {
		panic("auth0grpc: " + err.Error())
	}
	return detailed
}

// The refusals with a fixed text. They are made once and shared.
var (
	refusedMissingToken       = newTokenRefusal(ErrMissingToken, "", ReasonMissingToken, "no access token was sent")
	refusedAuthorization      = newTokenRefusal(ErrInvalidToken, "invalid_request", ReasonMalformedAuthorization, "the authorization value is malformed")
	refusedMalformed          = newInvalidToken(ReasonMalformedToken, "the access token is malformed")
	refusedAlgorithm          = newInvalidToken(ReasonUnsupportedAlgorithm, "the access token is signed with an algorithm that is not accepted")
	refusedType               = newInvalidToken(ReasonWrongTokenType, "the token is not an access token")
	refusedClaims             = newInvalidToken(ReasonInvalidClaims, "the access token lacks a required claim or has an invalid one")
	refusedIssuer             = newInvalidToken(ReasonWrongIssuer, "the access token is from an issuer that is not accepted")
	refusedAudience           = newInvalidToken(ReasonWrongAudience, "the access token is meant for another audience")
	refusedExpired            = newInvalidToken(ReasonTokenExpired, "the access token has expired")
	refusedNotYetValid        = newInvalidToken(ReasonTokenNotYetValid, "the access token is not valid yet")
	refusedBindingUnsupported = newInvalidToken(ReasonBoundToken, "the access token is sender-constrained, which is not accepted here")
	refusedConfirmation       = newInvalidToken(ReasonBoundToken, "the access token is bound to its sender in a way that is not supported")
	refusedUnknownKey         = newInvalidToken(ReasonUnknownKey, "the access token is signed with an unknown key")
	refusedNoKeyID            = newInvalidToken(ReasonUnknownKey, "the access token does not name its key: its header has no kid")
	refusedSignature          = newInvalidToken(ReasonBadSignature, "the signature of the access token is wrong")
	refusedRevoked            = newInvalidToken(ReasonTokenRevoked, "the access token has been revoked")
	refusedVerificationFailed = newInvalidToken(ReasonVerificationFailed, "the access token could not be verified")
	refusedDPoPRequired       = newTokenRefusal(ErrInvalidToken, "invalid_request", ReasonDPoPRequired, "the method wants a token under the scheme DPoP")
	refusedBoundAsBearer      = newInvalidToken(ReasonBoundToken, "the access token is bound to a key, so it wants the scheme DPoP")
	refusedNotCertBound       = newInvalidToken(ReasonTokenNotBound, "the access token is not bound to a certificate")
	refusedNotKeyBound        = newInvalidToken(ReasonTokenNotBound, "the access token is not bound to a key")
	refusedStrayProof         = newTokenRefusal(ErrInvalidToken, "invalid_request", ReasonMalformedAuthorization, "a proof was sent with a token that is not bound to a key")
	refusedProofCount         = newTokenRefusal(ErrInvalidToken, "invalid_request", ReasonMissingDPoPProof, "exactly one DPoP proof is wanted")
	refusedProof              = newTokenRefusal(ErrInvalidToken, "invalid_dpop_proof", ReasonInvalidDPoPProof, "the DPoP proof does not fit the call")
	refusedProofKey           = newInvalidToken(ReasonInvalidDPoPProof, "the DPoP proof is by another key than the access token is bound to")
	refusedReplay             = newTokenRefusal(ErrInvalidToken, "invalid_dpop_proof", ReasonDPoPProofReplayed, "the DPoP proof was used before")
	refusedNonce              = newTokenRefusal(ErrInvalidToken, "use_dpop_nonce", ReasonUseDPoPNonce, "the DPoP proof lacks a nonce that the server issued")
	refusedCertificate        = newInvalidToken(ReasonWrongCertificate, "the access token is bound to another certificate")
	refusedReplayStore        = newRefusal(ErrReplayStoreUnavailable, codes.Unavailable, errorInfo(ReasonReplayStoreUnavailable), "the memory of used DPoP proofs is unavailable", nil).retryAfter(time.Second)
	refusedUnlisted           = newRefusal(ErrUnlistedMethod, codes.PermissionDenied, errorInfo(ReasonMethodNotListed), "the method is not listed", nil)
	refusedAnonymous          = newAnonymousRefusal()
	refusedRelations          = newRefusal(ErrRelationsUnavailable, codes.Unavailable, errorInfo(ReasonRelationsUnavailable), "the relations of the subject are unavailable", nil).retryAfter(time.Second)
	refusedMisconfigured      = newRefusal(ErrRuleMisconfigured, codes.Internal, errorInfo(ReasonRuleMisconfigured), "the rule of the method cannot be evaluated", nil)
	refusedOverload           = newRefusal(ErrOverloaded, codes.Unavailable, errorInfo(ReasonOverloaded), "too many signature checks at once", nil).retryAfter(time.Second)
	refusedKeysUnavailable    = newRefusal(ErrKeysUnavailable, codes.Unavailable, errorInfo(ReasonKeysUnavailable), "the signing keys of the issuer are unavailable", nil)
)

// newAnonymousRefusal makes the refusal of a token from an anonymous session. Its
// challenge names no scope: more scopes do not help, a login does.
func newAnonymousRefusal() *refusal {
	challengeParams := `error="insufficient_scope"`
	return newRefusal(ErrInsufficientScope, codes.PermissionDenied, errorInfo(ReasonAnonymousSubject),
		"the access token is of an anonymous session, and the method requires a login", &challengeParams)
}

func newInvalidToken(reason Reason, text string) *refusal {
	return newTokenRefusal(ErrInvalidToken, "invalid_token", reason, text)
}

func newKeysUnavailable(delay time.Duration, cause error) *refusal {
	return refusedKeysUnavailable.withCause(cause).retryAfter(delay)
}

// retryAfter returns r with a RetryInfo, and a pushback for gRPC's own retries, of at
// least a second and at most a day.
func (r *refusal) retryAfter(delay time.Duration) *refusal {
	delay = min(max(delay, time.Second), 24*time.Hour) // the pushback has 32 bits
	delayed := *r
	delayed.status = mustDetail(r.status, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	delayed.retryDelay = delay
	return &delayed
}

// contextRefusal returns the refusal of a call whose own context has ended: no verdict on
// the token, so no reason and no challenge.
func contextRefusal(err error) *refusal {
	return &refusal{sentinel: err, status: status.FromContextError(err)}
}

// The reasons for which a stream ends under its handler. They have no mark, since
// the handler has run.
var (
	endedExpired = refusedExpired.underHandler()
	endedRevoked = refusedRevoked.underHandler()
)

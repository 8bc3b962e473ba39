package auth0grpc

import (
	"context"
	"net/http"
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

// A refusal is the error of a refused call. The client gets only its status, which is
// made once. Its cause is for outer interceptors, whose logs are not secret either: the
// status and the cause contain no part of the token.
type refusal struct {
	kind       error // the sentinel
	reason     Reason
	status     *status.Status
	challenge  metadata.MD // nil if the outcome has none
	pushback   metadata.MD // nil unless the call may be retried
	parameters *string     // of the challenge, for schemes other than Bearer; nil if there is none
	cause      error       // nil if the reason is enough
}

func (r *refusal) Error() string {
	if r.cause == nil {
		return r.status.Message()
	}
	return r.status.Message() + ": " + r.cause.Error()
}

// GRPCStatus makes gRPC send the fixed status and not the text of Error.
func (r *refusal) GRPCStatus() *status.Status { return r.status }

func (r *refusal) Unwrap() []error {
	if r.cause == nil {
		return []error{r.kind}
	}
	return []error{r.kind, r.cause}
}

// because returns r with a cause. The caller must ensure that the cause's text is safe.
func (r *refusal) because(cause error) *refusal {
	with := *r
	with.cause = cause
	return &with
}

// underHandler returns r without the mark, for a call whose handler has started.
func (r *refusal) underHandler() *refusal {
	clone := *r
	if unmarked := withoutMark(r.status); unmarked != nil {
		clone.status = unmarked
	}
	return &clone
}

// send sets the challenge for the client. It goes out both as header and as trailer:
// HTTP gateways turn headers into HTTP headers, while the errors of most client
// libraries (grpc-js, grpcio) have only trailers. Behind net/http's ServeHTTP it is
// only a header: RFC 9110, section 6.5.1, allows no such trailer, and net/http would
// log each one. Errors of SetHeader and SetTrailer mean that the call has ended or that
// ctx belongs to no call; then the client gets only the status.
//
// A refusal to be retried has a trailer for the retries of gRPC itself, which do not
// read RetryInfo (gRFC A6). It has no header: any header switches those off.
func (r *refusal) send(ctx context.Context, challenge metadata.MD) {
	if r.pushback != nil {
		_ = grpc.SetTrailer(ctx, r.pushback)
	}
	if challenge == nil {
		return
	}
	_ = grpc.SetHeader(ctx, challenge)
	if ctx.Value(http.ServerContextKey) == nil {
		_ = grpc.SetTrailer(ctx, challenge)
	}
}

// pushbackTrailer holds the milliseconds after which a client may retry.
const pushbackTrailer = "grpc-retry-pushback-ms"

// tokenRefusal returns an Unauthenticated refusal with the challenge of RFC 6750,
// section 3: code is "" (no token: no error code), invalid_request or invalid_token.
func tokenRefusal(kind error, code string, reason Reason, text string) *refusal {
	var parameters string
	if code != "" {
		parameters = `error="` + code + `", error_description="` + text + `"`
	}
	return newRefusal(kind, codes.Unauthenticated, infoOf(reason), text, &parameters)
}

func infoOf(reason Reason) *errdetails.ErrorInfo {
	return &errdetails.ErrorInfo{Reason: string(reason), Domain: ErrorDomain}
}

// newRefusal makes the status: a fixed text and an ErrorInfo, which is marked with
// [BeforeHandlerKey]. See [refusal.underHandler] for a refusal that comes later.
func newRefusal(kind error, code codes.Code, info *errdetails.ErrorInfo, text string, parameters *string) *refusal {
	if info.Metadata == nil {
		info.Metadata = make(map[string]string, 1)
	}
	info.Metadata[BeforeHandlerKey] = "true"
	r := &refusal{kind: kind, reason: Reason(info.Reason), parameters: parameters}
	r.status = mustDetail(status.New(code, "auth0grpc: "+text), info)
	if parameters != nil {
		r.challenge = metadata.Pairs("www-authenticate", strings.TrimSpace("Bearer "+*parameters))
	}
	return r
}

// mustDetail adds a detail. Adding fails only for codes.OK and for messages that cannot
// be marshalled; neither occurs here.
func mustDetail(s *status.Status, detail protoadapt.MessageV1) *status.Status {
	with, err := s.WithDetails(detail)
	if err != nil {
		panic("auth0grpc: " + err.Error())
	}
	return with
}

// The refusals with a fixed text. They are made once and shared.
var (
	refusedMissing            = tokenRefusal(ErrMissingToken, "", ReasonMissingToken, "no access token was sent")
	refusedAuthorization      = tokenRefusal(ErrInvalidToken, "invalid_request", ReasonMalformedAuthorization, "the authorization value is malformed")
	refusedMalformed          = invalidToken(ReasonMalformedToken, "the access token is malformed")
	refusedAlgorithm          = invalidToken(ReasonUnsupportedAlgorithm, "the access token is signed with an algorithm that is not accepted")
	refusedType               = invalidToken(ReasonWrongTokenType, "the token is not an access token")
	refusedClaims             = invalidToken(ReasonInvalidClaims, "the access token lacks a required claim or has an invalid one")
	refusedIssuer             = invalidToken(ReasonWrongIssuer, "the access token is from an issuer that is not accepted")
	refusedAudience           = invalidToken(ReasonWrongAudience, "the access token is meant for another audience")
	refusedExpired            = invalidToken(ReasonTokenExpired, "the access token has expired")
	refusedNotYet             = invalidToken(ReasonTokenNotYetValid, "the access token is not valid yet")
	refusedBound              = invalidToken(ReasonBoundToken, "the access token is sender-constrained, which is not accepted here")
	refusedConfirmation       = invalidToken(ReasonBoundToken, "the access token is bound to its sender in a way that is not supported")
	refusedKey                = invalidToken(ReasonUnknownKey, "the access token is signed with an unknown key")
	refusedNoKeyID            = invalidToken(ReasonUnknownKey, "the access token does not name its key: its header has no kid")
	refusedSignature          = invalidToken(ReasonBadSignature, "the signature of the access token is wrong")
	refusedRevoked            = invalidToken(ReasonTokenRevoked, "the access token has been revoked")
	refusedVerificationFailed = invalidToken(ReasonVerificationFailed, "the access token could not be verified")
	refusedWithoutDPoP        = tokenRefusal(ErrInvalidToken, "invalid_request", ReasonDPoPRequired, "the method wants a token under the scheme DPoP")
	refusedBearer             = invalidToken(ReasonBoundToken, "the access token is bound to a key, so it wants the scheme DPoP")
	refusedWithoutMTLS        = invalidToken(ReasonTokenNotBound, "the access token is not bound to a certificate")
	refusedUnbound            = invalidToken(ReasonTokenNotBound, "the access token is not bound to a key")
	refusedStrayProof         = tokenRefusal(ErrInvalidToken, "invalid_request", ReasonMalformedAuthorization, "a proof was sent with a token that is not bound to a key")
	refusedProofCount         = tokenRefusal(ErrInvalidToken, "invalid_request", ReasonMissingDPoPProof, "exactly one DPoP proof is wanted")
	refusedProof              = tokenRefusal(ErrInvalidToken, "invalid_dpop_proof", ReasonInvalidDPoPProof, "the DPoP proof does not fit the call")
	refusedProofKey           = invalidToken(ReasonInvalidDPoPProof, "the DPoP proof is by another key than the access token is bound to")
	refusedReplay             = tokenRefusal(ErrInvalidToken, "invalid_dpop_proof", ReasonDPoPProofReplayed, "the DPoP proof was used before")
	refusedNonce              = tokenRefusal(ErrInvalidToken, "use_dpop_nonce", ReasonUseDPoPNonce, "the DPoP proof lacks a nonce that the server issued")
	refusedCertificate        = invalidToken(ReasonWrongCertificate, "the access token is bound to another certificate")
	refusedReplayStore        = newRefusal(ErrReplayStoreUnavailable, codes.Unavailable, infoOf(ReasonReplayStoreUnavailable), "the memory of used DPoP proofs is unavailable", nil).retryAfter(time.Second)
	refusedUnlisted           = newRefusal(ErrUnlistedMethod, codes.PermissionDenied, infoOf(ReasonMethodNotListed), "the method is not listed", nil)
	refusedOverload           = newRefusal(ErrOverloaded, codes.Unavailable, infoOf(ReasonOverloaded), "too many signature checks at once", nil).retryAfter(time.Second)
	refusedKeysUnavailable    = newRefusal(ErrKeysUnavailable, codes.Unavailable, infoOf(ReasonKeysUnavailable), "the signing keys of the issuer are unavailable", nil)
)

func invalidToken(reason Reason, text string) *refusal {
	return tokenRefusal(ErrInvalidToken, "invalid_token", reason, text)
}

func keysUnavailable(after time.Duration, cause error) *refusal {
	return refusedKeysUnavailable.because(cause).retryAfter(after)
}

// retryAfter returns r with a RetryInfo, and a pushback for gRPC's own retries, of at
// least a second and at most a day.
func (r *refusal) retryAfter(delay time.Duration) *refusal {
	delay = min(max(delay, time.Second), 24*time.Hour) // the pushback has 32 bits
	delayed := *r
	delayed.status = mustDetail(r.status, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	delayed.pushback = metadata.Pairs(pushbackTrailer, strconv.FormatInt(delay.Milliseconds(), 10))
	return &delayed
}

// contextEnded returns the refusal of a call whose own context has ended: no verdict on
// the token, so no reason and no challenge.
func contextEnded(err error) *refusal {
	return &refusal{kind: err, status: status.FromContextError(err)}
}

// The reasons for which a stream ends under its handler. They have no mark, since
// the handler has run.
var (
	endedExpired = refusedExpired.underHandler()
	endedRevoked = refusedRevoked.underHandler()
)

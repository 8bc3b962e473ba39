package auth0grpc

import (
	"context"
	"errors"
	"net/http"
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

// The kinds of refusal, for errors.Is in interceptors outside ours and in the
// callers of AuthFunc. The error that a refused call ends with wraps one of
// them. On the client's side of the wire use ReasonFromError.
var (
	// ErrMissingToken reports a call without an authorization value.
	ErrMissingToken = errors.New("auth0grpc: no access token")
	// ErrInvalidToken reports an authorization value or an access token that
	// does not stand up to verification, whatever the reason.
	ErrInvalidToken = errors.New("auth0grpc: invalid access token")
	// ErrInsufficientScope reports a genuine token that does not meet the rule
	// of the method.
	ErrInsufficientScope = errors.New("auth0grpc: insufficient scope")
	// ErrUnlistedMethod reports a genuine token on a method that no row of the
	// table covers.
	ErrUnlistedMethod = errors.New("auth0grpc: method is not listed")
	// ErrKeysUnavailable reports that the issuer's keys could not be had, so
	// that a token could be neither accepted nor refused.
	ErrKeysUnavailable = errors.New("auth0grpc: signing keys unavailable")
	// ErrReplayStoreUnavailable reports that Config.DPoP.ReplayStore failed, so that a
	// proof could be neither accepted nor refused.
	ErrReplayStoreUnavailable = errors.New("auth0grpc: replay store unavailable")
	// ErrOverloaded reports that too many calls with new tokens waited for a
	// signature check, so that this token could not be checked.
	ErrOverloaded = errors.New("auth0grpc: overloaded")
)

// ErrorDomain is the domain of the google.rpc.ErrorInfo in each refusal.
const ErrorDomain = "auth0grpc"

// Reason says why a call was refused, in the words that travel to the client
// as the reason of a google.rpc.ErrorInfo. The set may grow.
type Reason string

// The reasons, each with the status it comes with.
const (
	ReasonMissingToken            Reason = "MISSING_TOKEN"            // Unauthenticated: no authorization value
	ReasonMalformedAuthorization  Reason = "MALFORMED_AUTHORIZATION"  // Unauthenticated: not one "Bearer <token>"
	ReasonMalformedToken          Reason = "MALFORMED_TOKEN"          // Unauthenticated: not a compact JWT
	ReasonUnsupportedAlgorithm    Reason = "UNSUPPORTED_ALGORITHM"    // Unauthenticated: alg is not on the list
	ReasonWrongTokenType          Reason = "WRONG_TOKEN_TYPE"         // Unauthenticated: an ID token, a logout token, a proof
	ReasonInvalidClaims           Reason = "INVALID_CLAIMS"           // Unauthenticated: a claim is missing or ill-typed
	ReasonWrongIssuer             Reason = "WRONG_ISSUER"             // Unauthenticated: iss is not on the list
	ReasonWrongAudience           Reason = "WRONG_AUDIENCE"           // Unauthenticated: meant for another API
	ReasonTokenExpired            Reason = "TOKEN_EXPIRED"            // Unauthenticated: exp has passed
	ReasonTokenNotYetValid        Reason = "TOKEN_NOT_YET_VALID"      // Unauthenticated: nbf or iat is in the future
	ReasonBoundToken              Reason = "BOUND_TOKEN"              // Unauthenticated: sender-constrained, and not presented so, or that is not enforced here
	ReasonUnknownKey              Reason = "UNKNOWN_KEY"              // Unauthenticated: the issuer publishes no such key
	ReasonBadSignature            Reason = "BAD_SIGNATURE"            // Unauthenticated: the key did not sign this
	ReasonTokenRevoked            Reason = "TOKEN_REVOKED"            // Unauthenticated: see Interceptor.Revoke
	ReasonVerificationFailed      Reason = "VERIFICATION_FAILED"      // Unauthenticated: verification broke off
	ReasonDPoPRequired            Reason = "DPOP_REQUIRED"            // Unauthenticated: the method wants the scheme DPoP
	ReasonTokenNotBound           Reason = "TOKEN_NOT_BOUND"          // Unauthenticated: the token has no cnf that is asked for
	ReasonMissingDPoPProof        Reason = "MISSING_DPOP_PROOF"       // Unauthenticated: not exactly one dpop value
	ReasonInvalidDPoPProof        Reason = "INVALID_DPOP_PROOF"       // Unauthenticated: the proof does not fit the call
	ReasonDPoPProofReplayed       Reason = "DPOP_PROOF_REPLAYED"      // Unauthenticated: the proof was used before
	ReasonUseDPoPNonce            Reason = "USE_DPOP_NONCE"           // Unauthenticated: try again with the nonce in dpop-nonce
	ReasonWrongCertificate        Reason = "WRONG_CERTIFICATE"        // Unauthenticated: not the certificate that the token is bound to
	ReasonReplayStoreUnavailable  Reason = "REPLAY_STORE_UNAVAILABLE" // Unavailable: no telling whether the proof was used
	ReasonOverloaded              Reason = "OVERLOADED"               // Unavailable: too many new tokens at once; try again after the RetryInfo
	ReasonInsufficientScope       Reason = "INSUFFICIENT_SCOPE"       // PermissionDenied: the scope claim lacks what the rule asks for
	ReasonInsufficientPermissions Reason = "INSUFFICIENT_PERMISSIONS" // PermissionDenied: the permissions claim does
	ReasonWrongOrganization       Reason = "WRONG_ORGANIZATION"       // PermissionDenied: org_id is not one of the rule's
	ReasonWrongClient             Reason = "WRONG_CLIENT"             // PermissionDenied: azp or client_id is not one of the rule's
	ReasonMethodNotListed         Reason = "METHOD_NOT_LISTED"        // PermissionDenied: no row covers the method
	ReasonKeysUnavailable         Reason = "KEYS_UNAVAILABLE"         // Unavailable: try again after the RetryInfo
)

// BeforeHandlerKey is the metadata key by which a google.rpc.ErrorInfo of
// [ErrorDomain] states that no handler ran for the call. Its value is "true".
//
// A refusal at the opening of a call has it, on every transport and from the tap.
// The end of a stream whose handler runs does not have it. The interceptors remove
// it from an error that a handler returns, such as the status of another server.
// Only an answer with this key proves that repeating the call is safe.
const BeforeHandlerKey = "beforeHandler"

// RefusedBeforeHandler reports whether err proves that the server refused the
// call before any handler ran. err must be, or wrap, a status error with a
// google.rpc.ErrorInfo of [ErrorDomain] that has [BeforeHandlerKey]. A client that
// repeats refused calls repeats those alone.
//
// It cannot see servers in between: a gateway that does not use the interceptors
// of this package may hand on the status of a server behind it unchanged.
func RefusedBeforeHandler(err error) bool {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && isMarked(info) {
			return true
		}
	}
	return false
}

// ReasonFromError returns the Reason that a refused call carries, and reports
// whether there is one: err must be, or wrap, a status error with a
// google.rpc.ErrorInfo of ErrorDomain. It serves clients and servers alike.
func ReasonFromError(err error) (Reason, bool) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == ErrorDomain {
			return Reason(info.GetReason()), true
		}
	}
	return "", false
}

// A refusal is the error of a refused call. Its status is all that the client
// gets, and is made once; its cause is for interceptors outside ours, whose
// logs are not secret either: neither holds anything of the token.
type refusal struct {
	kind       error // the sentinel
	reason     Reason
	status     *status.Status
	challenge  metadata.MD // nil where the outcome has none
	parameters *string     // of the challenge, for other schemes than Bearer; nil where there is none
	cause      error       // nil where the reason says it all
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

// because returns r with a cause. The caller answers for the cause's text.
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

// send puts the challenge where clients look for it. It goes out both as header
// and as trailer: HTTP gateways turn headers into HTTP headers, while the errors
// of most client libraries (grpc-js, grpcio) carry trailers alone. Behind
// net/http, ServeHTTP that is, it is a header only: RFC 9110, section 6.5.1, has
// no such trailer, and net/http would log each one. The errors of SetHeader and
// SetTrailer say that the call is over or that ctx is of no call; the refusal
// itself then has to do.
func (r *refusal) send(ctx context.Context, challenge metadata.MD) {
	if challenge == nil {
		return
	}
	_ = grpc.SetHeader(ctx, challenge)
	if ctx.Value(http.ServerContextKey) == nil {
		_ = grpc.SetTrailer(ctx, challenge)
	}
}

// tokenRefusal makes an Unauthenticated refusal with the challenge of RFC 6750,
// section 3: code is "" (no token: no error code), invalid_request or
// invalid_token.
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

// mustDetail adds a detail; that fails only for codes.OK and for messages that
// cannot be marshalled, and there is neither.
func mustDetail(s *status.Status, detail protoadapt.MessageV1) *status.Status {
	with, err := s.WithDetails(detail)
	if err != nil {
		panic("auth0grpc: " + err.Error())
	}
	return with
}

// The refusals whose text never varies. They are made once and shared.
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
	refusedReplayStore        = newRefusal(ErrReplayStoreUnavailable, codes.Unavailable, infoOf(ReasonReplayStoreUnavailable), "the memory of used DPoP proofs is unavailable", nil)
	refusedUnlisted           = newRefusal(ErrUnlistedMethod, codes.PermissionDenied, infoOf(ReasonMethodNotListed), "the method is not listed", nil)
	refusedOverload           = newRefusal(ErrOverloaded, codes.Unavailable, infoOf(ReasonOverloaded), "too many new access tokens at once", nil).retryAfter(time.Second)
	refusedKeysUnavailable    = newRefusal(ErrKeysUnavailable, codes.Unavailable, infoOf(ReasonKeysUnavailable), "the signing keys of the issuer are unavailable", nil)
)

func invalidToken(reason Reason, text string) *refusal {
	return tokenRefusal(ErrInvalidToken, "invalid_token", reason, text)
}

func keysUnavailable(after time.Duration, cause error) *refusal {
	return refusedKeysUnavailable.because(cause).retryAfter(after)
}

// retryAfter returns r with a RetryInfo of at least a second.
func (r *refusal) retryAfter(delay time.Duration) *refusal {
	delayed := *r
	delayed.status = mustDetail(r.status, &errdetails.RetryInfo{RetryDelay: durationpb.New(max(delay, time.Second))})
	return &delayed
}

// contextEnded makes the refusal of a call whose own context has ended: no
// verdict on the token, hence no reason and no challenge.
func contextEnded(err error) *refusal {
	return &refusal{kind: err, status: status.FromContextError(err)}
}

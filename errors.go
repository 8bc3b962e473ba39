package auth0grpc

import (
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
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
	// ErrOverloaded reports that too many calls waited for the signature check of a
	// new token or of a DPoP proof, so that this one could not be checked.
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
	ReasonOverloaded              Reason = "OVERLOADED"               // Unavailable: too many signature checks at once; try again after the RetryInfo
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

// isMarked reports whether info states that no handler ran, whatever the value.
func isMarked(info *errdetails.ErrorInfo) bool {
	_, ok := info.GetMetadata()[BeforeHandlerKey]
	return ok && info.GetDomain() == ErrorDomain
}

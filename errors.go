package auth0grpc

import (
	"errors"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// The kinds of refusal, for errors.Is in outer interceptors and in callers of
// [Interceptor.AuthFunc]. The error of a refused call wraps one of them. On the
// client's side use [ReasonFromError].
var (
	// ErrMissingToken reports a call without an authorization value.
	ErrMissingToken = errors.New("auth0grpc: no access token")
	// ErrInvalidToken reports an authorization value or an access token that fails
	// verification, for any reason.
	ErrInvalidToken = errors.New("auth0grpc: invalid access token")
	// ErrInsufficientScope reports a valid token that does not meet the rule of the
	// method.
	ErrInsufficientScope = errors.New("auth0grpc: insufficient scope")
	// ErrUnlistedMethod reports a valid token on a method without a row in the table.
	ErrUnlistedMethod = errors.New("auth0grpc: method is not listed")
	// ErrKeysUnavailable reports that the issuer's keys are unavailable, so the token
	// could not be checked.
	ErrKeysUnavailable = errors.New("auth0grpc: signing keys unavailable")
	// ErrReplayStoreUnavailable reports that [DPoPConfig.ReplayStore] failed, so the
	// proof could not be checked.
	ErrReplayStoreUnavailable = errors.New("auth0grpc: replay store unavailable")
	// ErrOverloaded reports that too many calls waited for the signature check of a new
	// token or of a DPoP proof. This call was not checked.
	ErrOverloaded = errors.New("auth0grpc: overloaded")
	// ErrResourceDenied reports a request for a record that the caller has no right to:
	// it does not meet [Rule.Same] or [Rule.Relation].
	ErrResourceDenied = errors.New("auth0grpc: resource denied")
	// ErrRelationsUnavailable reports that [Config.RelationChecker] has no answer, so the
	// request could not be checked.
	ErrRelationsUnavailable = errors.New("auth0grpc: relations unavailable")
	// ErrRuleMisconfigured reports a rule that does not fit the request message or the
	// model of the relation engine. A [RelationChecker] wraps it in the error for a query
	// that the engine rejects.
	ErrRuleMisconfigured = errors.New("auth0grpc: rule misconfigured")
)

// ErrorDomain is the domain of the google.rpc.ErrorInfo in each refusal.
const ErrorDomain = "auth0grpc"

// Reason is why a call was refused. It travels to the client as the reason of a
// google.rpc.ErrorInfo. The set may grow.
type Reason string

// The reasons, each with its status.
const (
	ReasonMissingToken            Reason = "MISSING_TOKEN"            // Unauthenticated: no authorization value
	ReasonMalformedAuthorization  Reason = "MALFORMED_AUTHORIZATION"  // Unauthenticated: not one "Bearer <token>"
	ReasonTokenTooLong            Reason = "TOKEN_TOO_LONG"           // Unauthenticated: a token of more than 16 KiB
	ReasonDPoPNotAccepted         Reason = "DPOP_NOT_ACCEPTED"        // Unauthenticated: the scheme DPoP at a server that has it disabled
	ReasonMalformedToken          Reason = "MALFORMED_TOKEN"          // Unauthenticated: not a compact JWT
	ReasonUnsupportedAlgorithm    Reason = "UNSUPPORTED_ALGORITHM"    // Unauthenticated: alg is not on the list
	ReasonWrongTokenType          Reason = "WRONG_TOKEN_TYPE"         // Unauthenticated: an ID token, a logout token, a proof
	ReasonInvalidClaims           Reason = "INVALID_CLAIMS"           // Unauthenticated: a claim is missing or ill-typed
	ReasonWrongIssuer             Reason = "WRONG_ISSUER"             // Unauthenticated: iss is not on the list
	ReasonWrongAudience           Reason = "WRONG_AUDIENCE"           // Unauthenticated: meant for another API
	ReasonTokenExpired            Reason = "TOKEN_EXPIRED"            // Unauthenticated: exp has passed
	ReasonTokenNotYetValid        Reason = "TOKEN_NOT_YET_VALID"      // Unauthenticated: nbf or iat is in the future
	ReasonBoundToken              Reason = "BOUND_TOKEN"              // Unauthenticated: bound to its sender, without the proof, or the binding is disabled
	ReasonUnknownKey              Reason = "UNKNOWN_KEY"              // Unauthenticated: the issuer publishes no such key
	ReasonBadSignature            Reason = "BAD_SIGNATURE"            // Unauthenticated: the signature is not by this key
	ReasonTokenRevoked            Reason = "TOKEN_REVOKED"            // Unauthenticated: see Interceptor.Revoke
	ReasonVerificationFailed      Reason = "VERIFICATION_FAILED"      // Unauthenticated: verification panicked
	ReasonDPoPRequired            Reason = "DPOP_REQUIRED"            // Unauthenticated: the method requires the scheme DPoP
	ReasonTokenNotBound           Reason = "TOKEN_NOT_BOUND"          // Unauthenticated: the token lacks the required cnf
	ReasonMissingDPoPProof        Reason = "MISSING_DPOP_PROOF"       // Unauthenticated: not exactly one dpop value
	ReasonInvalidDPoPProof        Reason = "INVALID_DPOP_PROOF"       // Unauthenticated: the proof does not fit the call
	ReasonDPoPProofReplayed       Reason = "DPOP_PROOF_REPLAYED"      // Unauthenticated: the proof was used before
	ReasonUseDPoPNonce            Reason = "USE_DPOP_NONCE"           // Unauthenticated: retry with the nonce in dpop-nonce
	ReasonWrongCertificate        Reason = "WRONG_CERTIFICATE"        // Unauthenticated: not the certificate that the token is bound to
	ReasonReplayStoreUnavailable  Reason = "REPLAY_STORE_UNAVAILABLE" // Unavailable: the replay store failed
	ReasonOverloaded              Reason = "OVERLOADED"               // Unavailable: too many concurrent signature checks; retry after the RetryInfo
	ReasonInsufficientScope       Reason = "INSUFFICIENT_SCOPE"       // PermissionDenied: the scope claim lacks a scope of the rule
	ReasonInsufficientPermissions Reason = "INSUFFICIENT_PERMISSIONS" // PermissionDenied: the permissions claim lacks a permission of the rule
	ReasonWrongOrganization       Reason = "WRONG_ORGANIZATION"       // PermissionDenied: org_id is not one of the rule's
	ReasonWrongClient             Reason = "WRONG_CLIENT"             // PermissionDenied: azp or client_id is not one of the rule's
	ReasonActorNotAllowed         Reason = "ACTOR_NOT_ALLOWED"        // PermissionDenied: the act claim does not satisfy NotDelegated or ActedBy
	ReasonAnonymousSubject        Reason = "ANONYMOUS_SUBJECT"        // PermissionDenied: an anonymous session, and no AllowAnonymous
	ReasonNotOwner                Reason = "NOT_OWNER"                // PermissionDenied, or NotFound by HideExistence: a field of the request differs from the claim
	ReasonNoRelation              Reason = "NO_RELATION"              // PermissionDenied, or NotFound by HideExistence: no relation to the object
	ReasonRelationsUnavailable    Reason = "RELATIONS_UNAVAILABLE"    // Unavailable: the relation checker is down, slow or overloaded; retry after the RetryInfo
	ReasonRuleMisconfigured       Reason = "RULE_MISCONFIGURED"       // Internal: the rule does not fit the message or the engine's model
	ReasonMethodNotListed         Reason = "METHOD_NOT_LISTED"        // PermissionDenied: no row covers the method
	ReasonKeysUnavailable         Reason = "KEYS_UNAVAILABLE"         // Unavailable: retry after the RetryInfo
)

// BeforeHandlerKey is the metadata key in a google.rpc.ErrorInfo of [ErrorDomain] which
// states that no handler ran for the call. Its value is "true".
//
// A refusal at the opening of a call has it, on every transport and from the tap. The
// end of a stream whose handler runs does not have it. The interceptors remove it from
// an error that a handler returns, such as the status of another server. Only a status
// with this key proves that repeating the call is safe.
const BeforeHandlerKey = "beforeHandler"

// RefusedBeforeHandler reports whether err proves that the server refused the call
// before any handler ran. err must be, or wrap, a status error with a
// google.rpc.ErrorInfo of [ErrorDomain] that has [BeforeHandlerKey]. A client may
// repeat only such calls.
//
// It cannot detect servers in between: a gateway that does not use the interceptors of
// this package may relay the status of a server behind it unchanged.
func RefusedBeforeHandler(err error) bool {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && isMarked(info) {
			return true
		}
	}
	return false
}

// ScopesFromError returns the scopes that the rule of the method names, in the order
// of the rule. err must be, or wrap, the status error of a call that was refused with
// [ReasonInsufficientScope] or another reason of PermissionDenied; for others it
// returns nil. The client must request the scopes from Auth0. If one of several
// suffices, all are named. A server names at most 2 KiB of scopes.
func ScopesFromError(err error) []string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == ErrorDomain {
			return strings.Fields(info.GetMetadata()["scope"])
		}
	}
	return nil
}

// ReasonFromError returns the [Reason] of a refused call, and reports whether there is
// one: err must be, or wrap, a status error with a google.rpc.ErrorInfo of
// [ErrorDomain]. Clients and servers can use it.
func ReasonFromError(err error) (Reason, bool) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == ErrorDomain {
			return Reason(info.GetReason()), true
		}
	}
	return "", false
}

// isMarked reports whether info states that no handler ran, with any value.
func isMarked(info *errdetails.ErrorInfo) bool {
	_, ok := info.GetMetadata()[BeforeHandlerKey]
	return ok && info.GetDomain() == ErrorDomain
}

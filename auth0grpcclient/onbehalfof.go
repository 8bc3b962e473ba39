package auth0grpcclient

import (
	"container/list"
	"context"
	"crypto/sha256"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// maxSubjects bounds the users whose tokens are kept, some 2 KB each.
const maxSubjects = 10_000

// NewOnBehalfOf returns credentials for calls on behalf of a user: Auth0's on-behalf-of
// exchange (RFC 8693) turns the token of the caller into a token for config.Audience
// with the same subject, config.ClientID as the actor, and the scopes in config. It
// validates config as [New] does.
//
// subject returns the caller's token for the context of an outgoing call. In a handler,
// use [IncomingToken], and pass the handler's context on. The token must be one that
// this server has verified, as behind an interceptor of package auth0grpc: Auth0 does
// not check that the sender of a bound token is its owner, and neither does this
// package. A status error of subject ends the call unchanged; any other error ends it
// with Internal and without its text.
//
// A refused exchange ends the call with Internal and a [TokenError]. This includes the
// code invalid_grant, with which the issuer refuses a subject token: this server has
// just accepted that token, and refuses it itself once it has expired. A handler that
// wants the user to log in again must return its own status.
//
// Exchanged tokens are cached under the hash of their subject token, which is not
// stored. If there are too many, the least recently used are dropped. With
// [Config.DPoP] the new token must be bound to our key, which is unrelated to the
// caller's key; an unbound token is refused.
func NewOnBehalfOf(config Config, subject func(ctx context.Context) (string, error)) (*Credentials, error) {
	c, e, err := newCredentials(config)
	if err != nil {
		return nil, err
	}
	c.misuse = codes.Internal
	c.tokens = &subjects{
		subject:   subject,
		newSource: func() *source { return &source{fetch: e.fetch, now: e.config.Now} },
		sources:   make(map[[sha256.Size]byte]*list.Element),
	}
	return c, nil
}

// IncomingToken returns the access token of the call being served, for any scheme. Use
// it only for [NewOnBehalfOf]: it does not verify the token, and a server that receives
// it can act here as the user.
//
// If the call does not have exactly one well-formed authorization value, the error is a
// status with the code Unauthenticated. If ctx belongs to no call that is being served,
// because a handler did not pass its context on, the code is Internal.
func IncomingToken(ctx context.Context) (string, error) {
	if _, ok := metadata.FromIncomingContext(ctx); !ok {
		return "", errNoIncomingCall
	}
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) != 1 {
		return "", errNoSubject
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP") || !isToken(token) {
		return "", errNoSubject
	}
	return token, nil
}

var (
	errNoSubject      = status.Error(codes.Unauthenticated, "auth0grpcclient: there is no caller's token to exchange")
	errNoIncomingCall = status.Error(codes.Internal, "auth0grpcclient: there is no caller's token to exchange: the context does not belong to a handler")
	errSubjectFailed  = status.Error(codes.Internal, "auth0grpcclient: there is no caller's token to exchange: the function that returns it has failed")
)

// subjects is the store of tokens on behalf of users.
type subjects struct {
	subject   func(context.Context) (string, error)
	newSource func() *source

	mu      sync.Mutex // guards all below
	sources map[[sha256.Size]byte]*list.Element
	recent  list.List // of *entry, the last used in front
}

type entry struct {
	key    [sha256.Size]byte
	source *source
}

func (s *subjects) tokenSource(ctx context.Context) (*source, string, error) {
	token, err := s.subject(ctx)
	if err != nil {
		if _, ok := status.FromError(err); ok {
			return nil, "", err
		}
		return nil, "", errSubjectFailed
	}
	if !isToken(token) {
		return nil, "", errNoSubject
	}
	return s.source(sha256.Sum256([]byte(token))), token, nil
}

// source returns the source for a subject token's hash, a new one if need be.
func (s *subjects) source(key [sha256.Size]byte) *source {
	s.mu.Lock()
	defer s.mu.Unlock()
	if element, ok := s.sources[key]; ok {
		s.recent.MoveToFront(element)
		return element.Value.(*entry).source
	}
	if s.recent.Len() >= maxSubjects {
		delete(s.sources, s.recent.Remove(s.recent.Back()).(*entry).key)
	}
	e := &entry{key: key, source: s.newSource()}
	s.sources[key] = s.recent.PushFront(e)
	return e.source
}

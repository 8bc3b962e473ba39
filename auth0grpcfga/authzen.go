package auth0grpcfga

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/auth0grpc/auth0grpc"
)

// AuthZENConfig configures a decision point of the AuthZEN Authorization API 1.0.
type AuthZENConfig struct {
	// URL is the base address of the decision point. Requests go to
	// URL/access/v1/evaluation. It must be https, except on a loopback address. Required.
	URL string
	// HTTPClient makes the requests. Default: a new client. See [Config.HTTPClient].
	HTTPClient *http.Client
	// Token returns the bearer token of the server. Default nil: no credentials.
	Token func(context.Context) (string, error)
	// SubjectType is the type of the subject. Default "user".
	SubjectType string
	// Subject returns the id of the caller. See [Config.Subject].
	Subject func(*auth0grpc.Token) string
	// Header holds further headers of each request, such as
	// Openfga-Authorization-Model-Id. It must not change afterwards.
	Header http.Header
}

// NewAuthZENChecker returns a checker that asks an AuthZEN decision point. The relation
// of the rule is the name of the action, and the object is the type and id of the
// resource. The subject is encoded as [User] does. It does no I/O.
func NewAuthZENChecker(config AuthZENConfig) (auth0grpc.RelationChecker, error) {
	if config.SubjectType == "" {
		config.SubjectType = "user"
	}
	if config.Subject == nil {
		config.Subject = (*auth0grpc.Token).Subject
	}
	caller, err := newHTTPCaller(config.URL, config.HTTPClient, config.Token)
	if err != nil {
		return nil, errors.New("auth0grpcfga: AuthZENConfig.URL " + err.Error())
	}
	if !typeName.MatchString(config.SubjectType) {
		return nil, errors.New("auth0grpcfga: AuthZENConfig.SubjectType is no type")
	}
	caller.header = config.Header.Clone()
	return auth0grpc.RelationCheckerFunc(func(ctx context.Context, query auth0grpc.RelationQuery) (bool, error) {
		return evaluate(ctx, caller, &config, query)
	}), nil
}

// evaluate asks for one decision. A denial is an answer with the status 200; any other
// status is no decision.
func evaluate(ctx context.Context, caller *httpCaller, config *AuthZENConfig, query auth0grpc.RelationQuery) (bool, error) {
	type entity struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	}
	subject := escape(config.Subject(query.Token))
	if subject == "" || len(config.SubjectType)+1+len(subject) > maxUser {
		return false, nil
	}
	objectType, objectID, _ := strings.Cut(query.Object, ":")
	body := map[string]any{
		"subject":  entity{config.SubjectType, subject},
		"action":   map[string]string{"name": query.Relation},
		"resource": entity{objectType, objectID},
	}
	var answer struct {
		Decision *bool `json:"decision"`
	}
	if err := caller.post(ctx, "/access/v1/evaluation", body, &answer); err != nil {
		return false, err
	}
	if answer.Decision == nil {
		return false, errors.New("auth0grpcfga: the answer has no decision")
	}
	return *answer.Decision, nil
}

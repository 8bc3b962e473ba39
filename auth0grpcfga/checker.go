package auth0grpcfga

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
)

// Config configures a [Checker]. Store, Model, and one of Conn and URL are required.
type Config struct {
	// Conn is the connection to OpenFGA over gRPC, with its own transport credentials.
	Conn grpc.ClientConnInterface
	// URL is the address of the HTTP API, such as "https://api.us1.fga.dev". It must be
	// https, except on a loopback address.
	URL string
	// HTTPClient makes the requests to URL. The checker copies it and follows no
	// redirects. Default: a new client. Checks end by the deadline of their context.
	HTTPClient *http.Client

	// Store and Model are the ids of the store and of the authorization model, ULIDs. A
	// pinned model keeps the meaning of relations until you deploy another id.
	Store, Model string

	// Token returns the bearer token of the server: a preshared key, or an access token
	// of Auth0 FGA, as from golang.org/x/oauth2/clientcredentials. It is called for every
	// check, so it should cache. Default nil: no credentials.
	Token func(context.Context) (string, error)

	// HigherConsistency bypasses the caches of OpenFGA. Default false: an answer may be a
	// few seconds old there too.
	HigherConsistency bool

	// UserType is the type of the users in the model. Default "user".
	UserType string

	// Subject returns the id of the caller, which [User] encodes. Default: Token.Subject.
	// With several issuers, it must include the issuer: a subject has no meaning outside
	// its issuer.
	Subject func(*auth0grpc.Token) string

	// OrganizationType and OrganizationRelation add a contextual tuple for a token with
	// an organization: the user has the relation to the organization, such as
	// "user:auth0|ann" "member" "organization:org_a". The model can then use the
	// organization of the login without a stored tuple. Both or none must be set.
	OrganizationType, OrganizationRelation string
}

// A Checker asks OpenFGA or Auth0 FGA. It is a [auth0grpc.RelationChecker], and is safe for
// concurrent use.
type Checker struct {
	config Config
	client openfgav1.OpenFGAServiceClient // nil: HTTP
	http   *httpCaller
}

var (
	ulid     = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)
	typeName = regexp.MustCompile(`^[^:#@*\s]{1,254}$`)
)

// NewChecker validates config and returns a [Checker]. It does no I/O.
func NewChecker(config Config) (*Checker, error) {
	if config.UserType == "" {
		config.UserType = "user"
	}
	if config.Subject == nil {
		config.Subject = (*auth0grpc.Token).Subject
	}
	var faults []error
	add := func(field, reason string) {
		faults = append(faults, fmt.Errorf("auth0grpcfga: Config.%s %s", field, reason))
	}
	if !ulid.MatchString(config.Store) {
		add("Store", "is no id of a store; want 26 characters, as in 01ARZ3NDEKTSV4RRFFQ69G5FAV")
	}
	if !ulid.MatchString(config.Model) {
		add("Model", "is no id of a model; want 26 characters, as in 01ARZ3NDEKTSV4RRFFQ69G5FAV")
	}
	if !typeName.MatchString(config.UserType) {
		add("UserType", "is no type")
	}
	if (config.OrganizationType == "") != (config.OrganizationRelation == "") {
		add("OrganizationType", "and OrganizationRelation belong together")
	} else if config.OrganizationType != "" && (!typeName.MatchString(config.OrganizationType) || !typeName.MatchString(config.OrganizationRelation)) {
		add("OrganizationType", "or OrganizationRelation has a character that no type has")
	}
	if (config.Conn == nil) == (config.URL == "") {
		add("Conn", "or URL is required, and not both")
	}
	c := &Checker{config: config}
	if config.Conn != nil {
		c.client = openfgav1.NewOpenFGAServiceClient(config.Conn)
	}
	if config.URL != "" {
		var err error
		if c.http, err = newHTTPCaller(config.URL, config.HTTPClient, config.Token); err != nil {
			add("URL", err.Error())
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return c, nil
}

// maxUser is the length of the longest user that OpenFGA accepts. A longer one has no
// tuples, so it has no relations.
const maxUser = 512

// CheckRelation asks whether the subject of the token has the relation. A query that the
// engine rejects is an error that wraps [auth0grpc.ErrRuleMisconfigured].
func (c *Checker) CheckRelation(ctx context.Context, query auth0grpc.RelationQuery) (bool, error) {
	user := User(c.config.UserType, c.config.Subject(query.Token))
	if len(user) > maxUser || strings.HasSuffix(user, ":") {
		return false, nil
	}
	tuples := c.contextualTuples(user, query.Token)
	if c.client == nil {
		return c.checkHTTP(ctx, user, query, tuples)
	}
	request := &openfgav1.CheckRequest{
		StoreId: c.config.Store, AuthorizationModelId: c.config.Model, Consistency: c.consistency(),
		TupleKey: &openfgav1.CheckRequestTupleKey{User: user, Relation: query.Relation, Object: query.Object},
	}
	if len(tuples) > 0 {
		request.ContextualTuples = &openfgav1.ContextualTupleKeys{}
		for _, t := range tuples {
			request.ContextualTuples.TupleKeys = append(request.ContextualTuples.TupleKeys, &openfgav1.TupleKey{User: t.User, Relation: t.Relation, Object: t.Object})
		}
	}
	// A handler's outgoing metadata, such as the token of its caller, is not for the engine.
	md := metadata.MD{}
	if c.config.Token != nil {
		token, err := c.config.Token(ctx)
		if err != nil {
			return false, fmt.Errorf("auth0grpcfga: token: %w", err)
		}
		md.Set("authorization", "Bearer "+token)
	}
	response, err := c.client.Check(metadata.NewOutgoingContext(ctx, md), request)
	if err != nil {
		return false, statusError(err)
	}
	return response.GetAllowed(), nil
}

func (c *Checker) consistency() openfgav1.ConsistencyPreference {
	if c.config.HigherConsistency {
		return openfgav1.ConsistencyPreference_HIGHER_CONSISTENCY
	}
	return openfgav1.ConsistencyPreference_MINIMIZE_LATENCY
}

// A tuple states a relation, in the form of the HTTP API.
type tuple struct {
	User     string `json:"user"`
	Relation string `json:"relation"`
	Object   string `json:"object"`
}

// contextualTuples returns the tuple of the token's organization, if there is one.
func (c *Checker) contextualTuples(user string, t *auth0grpc.Token) []tuple {
	if c.config.OrganizationType == "" || t.OrganizationID() == "" {
		return nil
	}
	return []tuple{{user, c.config.OrganizationRelation, User(c.config.OrganizationType, t.OrganizationID())}}
}

// The codes of OpenFGA above the codes of gRPC: errors in the input, and unknown stores.
const (
	firstInputCode, lastInputCode       = 2000, 2999
	firstNotFoundCode, lastNotFoundCode = 5000, 5999
)

// statusError returns the error of a check. The engine rejected the query if the query is
// wrong, and is unavailable otherwise.
func statusError(err error) error {
	code := status.Code(err)
	isInput := code >= firstInputCode && code <= lastInputCode || code >= firstNotFoundCode && code <= lastNotFoundCode
	if isInput || code == codes.InvalidArgument || code == codes.NotFound || code == codes.Unimplemented {
		return fmt.Errorf("auth0grpcfga: %w: %w", auth0grpc.ErrRuleMisconfigured, err)
	}
	return fmt.Errorf("auth0grpcfga: %w", err)
}

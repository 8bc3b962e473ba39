package auth0grpcfga_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	grpcruntime "github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	authzenv1 "github.com/openfga/api/proto/authzen/v1"
	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"github.com/openfga/language/pkg/go/transformer"
	httpmiddleware "github.com/openfga/openfga/pkg/middleware/http"
	"github.com/openfga/openfga/pkg/server"
	servererrors "github.com/openfga/openfga/pkg/server/errors"
	"github.com/openfga/openfga/pkg/storage/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc/auth0grpcfga"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// model is the authorization model of the tests. A viewer of an order is one by a tuple,
// its owner, or a member of the organization that it belongs to.
const model = `
model
  schema 1.1

type user

type organization
  relations
    define member: [user]

type order
  relations
    define owner: [user]
    define organization: [organization]
    define viewer: [user, user:*] or owner or member from organization
`

// An engine is an OpenFGA server in this process, over gRPC and HTTP.
type engine struct {
	server       *server.Server
	conn         *grpc.ClientConn
	url          string // of the HTTP API
	store, model string
}

// newEngine returns an engine with a store and a model.
func newEngine(tb testing.TB) *engine {
	tb.Helper()
	e := &engine{server: server.MustNewServerWithOpts(server.WithDatastore(memory.New()), server.WithExperimentals("authzen"))}
	tb.Cleanup(e.server.Close)
	grpcServer := grpc.NewServer()
	openfgav1.RegisterOpenFGAServiceServer(grpcServer, e.server)
	authzenv1.RegisterAuthZenServiceServer(grpcServer, e.server)
	e.conn = auth0grpctest.Connect(tb, grpcServer, "")
	e.url = serveHTTP(tb, e.conn)

	ctx := context.Background()
	store, err := e.server.CreateStore(ctx, &openfgav1.CreateStoreRequest{Name: "orders"})
	if err != nil {
		tb.Fatal(err)
	}
	parsed := transformer.MustTransformDSLToProto(model)
	written, err := e.server.WriteAuthorizationModel(ctx, &openfgav1.WriteAuthorizationModelRequest{
		StoreId: store.GetId(), SchemaVersion: parsed.GetSchemaVersion(), TypeDefinitions: parsed.GetTypeDefinitions(), Conditions: parsed.GetConditions(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	e.store, e.model = store.GetId(), written.GetAuthorizationModelId()
	return e
}

// serveHTTP serves the HTTP API as the command of OpenFGA does.
func serveHTTP(tb testing.TB, conn *grpc.ClientConn) string {
	tb.Helper()
	mux := grpcruntime.NewServeMux(
		grpcruntime.WithForwardResponseOption(httpmiddleware.HTTPResponseModifier),
		grpcruntime.WithErrorHandler(func(ctx context.Context, _ *grpcruntime.ServeMux, _ grpcruntime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
			code := servererrors.ConvertToEncodedErrorCode(status.Convert(err))
			httpmiddleware.CustomHTTPErrorHandler(ctx, w, r, servererrors.NewEncodedError(code, err.Error()))
		}),
		grpcruntime.WithIncomingHeaderMatcher(func(key string) (string, bool) {
			return key, key == "Openfga-Authorization-Model-Id"
		}),
	)
	if err := openfgav1.RegisterOpenFGAServiceHandler(context.Background(), mux, conn); err != nil {
		tb.Fatal(err)
	}
	if err := authzenv1.RegisterAuthZenServiceHandler(context.Background(), mux, conn); err != nil {
		tb.Fatal(err)
	}
	httpServer := httptest.NewServer(mux)
	tb.Cleanup(httpServer.Close)
	return httpServer.URL
}

// write adds a tuple.
func (e *engine) write(tb testing.TB, user, relation, object string) {
	tb.Helper()
	_, err := e.server.Write(context.Background(), &openfgav1.WriteRequest{StoreId: e.store, AuthorizationModelId: e.model, Writes: &openfgav1.WriteRequestWrites{
		TupleKeys: []*openfgav1.TupleKey{{User: user, Relation: relation, Object: object}},
	}})
	if err != nil {
		tb.Fatalf("%s %s %s: %v", user, relation, object, err)
	}
}

// configs returns a configuration for each transport.
func (e *engine) configs() map[string]auth0grpcfga.Config {
	return map[string]auth0grpcfga.Config{
		"gRPC": {Conn: e.conn, Store: e.store, Model: e.model, OrganizationType: "organization", OrganizationRelation: "member"},
		"HTTP": {URL: e.url, Store: e.store, Model: e.model, OrganizationType: "organization", OrganizationRelation: "member"},
	}
}

package policy_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/policy"
)

// shop is the policy of proto/testdata/shop/v1/shop.proto, as Go code.
var shop = map[string]auth0grpc.Rule{
	"/shop.v1.ShopService/List":   auth0grpc.Scopes("read:shop"),
	"/shop.v1.ShopService/Watch":  auth0grpc.Scopes("read:shop"),
	"/shop.v1.ShopService/Get":    auth0grpc.Scopes("read:shop", "read:price"),
	"/shop.v1.ShopService/Put":    auth0grpc.AnyScope("write:shop", "admin"),
	"/shop.v1.ShopService/Import": auth0grpc.Permissions("import:shop", "write:shop"),
	"/shop.v1.ShopService/Export": auth0grpc.AnyPermission("export:shop", "admin"),
	"/shop.v1.ShopService/Audit":  auth0grpc.Organizations("org_a"),
	"/shop.v1.ShopService/Sync":   auth0grpc.Clients("client-a", "client-b"),
	"/shop.v1.ShopService/Refund": auth0grpc.AllOf(
		auth0grpc.Scopes("write:shop"),
		auth0grpc.AnyOf(auth0grpc.Permissions("refund:shop"), auth0grpc.Organizations("org_a")),
	),
	"/shop.v1.ShopService/Approve": auth0grpc.AllOf(auth0grpc.Scopes("write:shop"), auth0grpc.NotDelegated()),
	"/shop.v1.ShopService/Assist":  auth0grpc.ActedBy("agt_1"),
	"/shop.v1.ShopService/Browse":  auth0grpc.Authenticated().AllowAnonymous(),
	"/shop.v1.ShopService/Whoami":  auth0grpc.Authenticated(),
	"/shop.v1.ShopService/Price":   auth0grpc.Optional(),
	"/shop.v1.ShopService/Ping":    auth0grpc.Public(),
	"/shop.v1.ShopService/Trial":   auth0grpc.Scopes("trial:shop").ReportOnly().Streams(auth0grpc.EndAfter(5 * time.Minute)),
	"/shop.v1.ShopService/Follow":  auth0grpc.Scopes("read:shop").Streams(auth0grpc.IgnoreExpiry()),
	"/shop.v1.ShopService/Tail":    auth0grpc.Scopes("read:shop").Streams(auth0grpc.EndAtExpiry()),
	"/shop.v1.ShopService/Order": auth0grpc.Scopes("read:shop").
		Same("customer_id", auth0grpc.ClaimSubject).Same("tenant", auth0grpc.NamedClaim("https://example.com/tenant")).
		Relation("viewer", "order:{order_id}").HideExistence(),
	"/shop.v1.ShopService/Ship": auth0grpc.Authenticated().Same("org_id", auth0grpc.ClaimOrganization),
}

// shopTokens are claims that make a difference to one method or another.
func shopTokens(tenant *auth0grpctest.Tenant) map[string]string {
	token := func(claims map[string]any) string { return tenant.Token(claims) }
	return map[string]string{
		"none":              "",
		"no scope":          token(nil),
		"read":              token(map[string]any{"scope": "read:shop"}),
		"read and price":    token(map[string]any{"scope": "read:shop read:price"}),
		"write":             token(map[string]any{"scope": "write:shop"}),
		"admin":             token(map[string]any{"scope": "admin"}),
		"import":            token(map[string]any{"permissions": []string{"import:shop", "write:shop"}}),
		"export":            token(map[string]any{"permissions": []string{"export:shop"}}),
		"organization":      token(map[string]any{"org_id": "org_a", "scope": "write:shop"}),
		"other org":         token(map[string]any{"org_id": "org_b", "scope": "write:shop"}),
		"refund":            token(map[string]any{"scope": "write:shop", "permissions": []string{"refund:shop"}}),
		"client":            token(map[string]any{"azp": "client-b"}),
		"agent":             token(map[string]any{"scope": "write:shop", "act": map[string]any{"sub": "agt_1"}}),
		"other agent":       token(map[string]any{"act": map[string]any{"sub": "agt_2"}}),
		"anonymous":         token(map[string]any{"sub": "anon@1"}),
		"trial":             token(map[string]any{"scope": "trial:shop"}),
		"other audience":    token(map[string]any{"aud": "https://other.example", "scope": "read:shop"}),
		"tenant":            token(map[string]any{"sub": "auth0|a", "scope": "read:shop", "https://example.com/tenant": "t1"}),
		"no relation":       token(map[string]any{"sub": "auth0|b", "scope": "read:shop", "https://example.com/tenant": "t1"}),
		"scopes in one row": token(map[string]any{"scope": "read:shop read:price write:shop admin trial:shop"}),
	}
}

// TestGoProtoAndJSONDecideAlike makes every call with every token on three
// servers, whose tables say the same in Go code, in .proto options and in JSON.
func TestGoProtoAndJSONDecideAlike(t *testing.T) {
	files := filesOf(t, shopSet(t, nil))
	services := servicesIn(files, "shop.v1")
	fromProto, err := policy.FromServices(services, files)
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("testdata/shop.json")
	if err != nil {
		t.Fatal(err)
	}
	fromJSON, err := policy.Parse(document)
	if err != nil {
		t.Fatal(err)
	}

	tenant := auth0grpctest.NewTenant(t)
	outcomes := map[string]map[string]string{} // by table, by case
	for name, methods := range map[string]map[string]auth0grpc.Rule{"Go": shop, "proto": fromProto, "JSON": fromJSON} {
		outcomes[name] = outcomesOf(t, tenant, methods, services, files)
	}
	if diff := cmp.Diff(outcomes["Go"], outcomes["proto"]); diff != "" {
		t.Errorf("Go and proto (-Go +proto):\n%s", diff)
	}
	if diff := cmp.Diff(outcomes["Go"], outcomes["JSON"]); diff != "" {
		t.Errorf("Go and JSON (-Go +JSON):\n%s", diff)
	}
	tally := map[string]int{}
	for _, outcome := range outcomes["Go"] {
		tally[outcome]++
	}
	t.Logf("%d cases: %v", len(outcomes["Go"]), tally)
	if len(tally) < 6 {
		t.Errorf("outcomes %v: the cases do not tell rules apart", tally)
	}
}

// shopMessages are the messages of the methods with rules about them, in text form. Other
// methods receive an empty one.
var shopMessages = map[string][]string{
	"Order": {
		`order_id: "7" customer_id: "auth0|a" tenant: "t1"`, `order_id: "8" customer_id: "auth0|a" tenant: "t1"`,
		`order_id: "7" customer_id: "auth0|b" tenant: "t1"`, `order_id: "7" customer_id: "auth0|a" tenant: "t2"`, ``,
	},
	"Ship": {`org_id: "org_a"`, `org_id: "org_b"`, ``},
}

// viewsOrder7 knows that auth0|a is a viewer of order 7.
var viewsOrder7 = auth0grpc.RelationCheckerFunc(func(_ context.Context, query auth0grpc.RelationQuery) (bool, error) {
	return query.Token.Subject() == "auth0|a" && query.Relation == "viewer" && query.Object == "order:7", nil
})

// outcomesOf makes every call with every token. The names of the cases are
// "method, token", the outcomes code and reason.
func outcomesOf(t *testing.T, tenant *auth0grpctest.Tenant, methods map[string]auth0grpc.Rule, services map[string]grpc.ServiceInfo, files *protoregistry.Files) map[string]string {
	t.Helper()
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience},
		Methods: methods, HTTPClient: tenant.HTTPClient(), RelationChecker: viewsOrder7,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(guard.ServerOptions()...)
	register(server, services, files)
	outcomes := map[string]string{}
	for tokenName, token := range shopTokens(tenant) {
		conn := auth0grpctest.Connect(t, server, token)
		for service, info := range services {
			for _, method := range info.Methods {
				fullMethod := "/" + service + "/" + method.Name
				messages := shopMessages[method.Name]
				if messages == nil {
					messages = []string{""}
				}
				for _, text := range messages {
					message := requestOf(files, service, method.Name)
					if err := prototext.Unmarshal([]byte(text), message); err != nil {
						t.Fatal(err)
					}
					outcomes[fullMethod+", "+tokenName+", "+text] = outcomeOf(t, conn, fullMethod, message)
				}
			}
		}
	}
	return outcomes
}

// outcomeOf returns the code and reason of a call with one message.
func outcomeOf(t *testing.T, conn *grpc.ClientConn, fullMethod string, message proto.Message) string {
	t.Helper()
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, fullMethod)
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.SendMsg(message) // io.EOF if the call has ended: RecvMsg has the status
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	err = stream.RecvMsg(new(emptypb.Empty))
	reason, _ := auth0grpc.ReasonFromError(err)
	return fmt.Sprint(status.Code(err), " ", reason)
}

// requestOf returns an empty request of a method.
func requestOf(files *protoregistry.Files, service, method string) proto.Message {
	descriptor, err := files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return new(emptypb.Empty)
	}
	return dynamicpb.NewMessage(descriptor.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(method)).Input())
}

// register adds handlers that receive a message and answer Aborted: a sign that the call
// came to them.
func register(server *grpc.Server, services map[string]grpc.ServiceInfo, files *protoregistry.Files) {
	for name, info := range services {
		description := grpc.ServiceDesc{ServiceName: name, HandlerType: (*any)(nil)}
		for _, method := range info.Methods {
			description.Streams = append(description.Streams, grpc.StreamDesc{
				StreamName:    method.Name,
				ClientStreams: true, ServerStreams: true,
				Handler: func(_ any, stream grpc.ServerStream) error {
					if err := stream.RecvMsg(requestOf(files, name, method.Name)); err != nil {
						return err
					}
					return status.Error(codes.Aborted, "in the handler")
				},
			})
		}
		server.RegisterService(&description, nil)
	}
}

package auth0grpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/auth0grpc/auth0grpc"
)

// A messageStream is a stream without a transport, whose client has sent something.
type messageStream struct{ serverStream }

func (messageStream) RecvMsg(any) error { return nil }

// messageDoors has each way by which a message reaches its rules. A door returns the error
// of a call with a message, and reports whether the handler received the message.
var messageDoors = map[string]func(context.Context, *fixture, string, any) (received bool, err error){
	"unary": func(ctx context.Context, f *fixture, fullMethod string, message any) (received bool, err error) {
		_, err = f.guard.UnaryServerInterceptor()(ctx, message, &grpc.UnaryServerInfo{FullMethod: fullMethod}, func(context.Context, any) (any, error) {
			received = true
			return nil, nil
		})
		return received, err
	},
	"stream": func(ctx context.Context, f *fixture, fullMethod string, message any) (received bool, err error) {
		ctx = grpc.NewContextWithServerTransportStream(ctx, endingTransport{&transportStream{method: fullMethod}})
		stream := messageStream{serverStream{ctx: ctx}}
		err = f.guard.StreamServerInterceptor()(nil, stream, &grpc.StreamServerInfo{FullMethod: fullMethod}, func(_ any, stream grpc.ServerStream) error {
			err := stream.RecvMsg(message)
			received = err == nil
			return err
		})
		return received, err
	},
	"Check": func(ctx context.Context, f *fixture, fullMethod string, message any) (received bool, err error) {
		_, err = f.guard.Check(ctx, auth0grpc.Request{FullMethod: fullMethod, Authorization: bearer(f.plain), Message: message})
		return err == nil, err
	},
	"CheckStream": func(ctx context.Context, f *fixture, fullMethod string, message any) (received bool, err error) {
		stream, err := f.guard.CheckStream(ctx, auth0grpc.Request{FullMethod: fullMethod, Authorization: bearer(f.plain), MessagesFollow: true})
		if err != nil {
			return false, err
		}
		defer stream.Close()
		err = stream.Received(message, nil)
		return err == nil, err
	},
}

// An endingTransport accepts the status of an ended stream, so the handler runs on the
// goroutine of the call.
type endingTransport struct{ *transportStream }

func (endingTransport) WriteStatus(*status.Status) error { return nil }

// throughMessageDoors calls a method with a message through each door, and compares the
// result with the wanted reason; "" means that the call passes.
func (f *fixture) throughMessageDoors(t *testing.T, fullMethod string, message any, want auth0grpc.Reason, code codes.Code) {
	t.Helper()
	for name, door := range messageDoors {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+f.plain))
		received, err := door(grpc.NewContextWithServerTransportStream(ctx, &transportStream{method: fullMethod}), f, fullMethod, message)
		reason, _ := auth0grpc.ReasonFromError(err)
		if reason != want || status.Code(err) != code || received != (want == "") {
			t.Errorf("%s, %s: %v (%s), received: %t; want %s (%s)", name, fullMethod, err, reason, received, code, want)
		}
	}
}

// A legacyOrder is a message of the first generation of Go's protobuf.
type legacyOrder struct {
	OrderID string `protobuf:"bytes,1,opt,name=order_id,json=orderId,proto3"`
}

func (*legacyOrder) Reset()         {}
func (*legacyOrder) String() string { return "an order" }
func (*legacyOrder) ProtoMessage()  {}

// A brokenOrder panics if its fields are read: it contains no message.
type brokenOrder struct{ proto.Message }

// Messages of any kind meet the rules, whether or not the program knows their method.
func TestKindsOfMessages(t *testing.T) {
	const broken, pass = auth0grpc.ReasonRuleMisconfigured, auth0grpc.Reason("")
	f := newFixture(t, transports(), func(_ *fixture, config *auth0grpc.Config) {
		rule := auth0grpc.Scopes("read:orders").Relation("viewer", "order:{order_id}")
		config.Methods = map[string]auth0grpc.Rule{ordersService + "*": rule, "/orders.v1.Unknown/*": rule, "/orders.v1.Customer/*": rule}
		config.RelationChecker = auth0grpc.RelationCheckerFunc(func(_ context.Context, q auth0grpc.RelationQuery) (bool, error) {
			return strings.HasPrefix(q.Object, "order:7"), nil
		})
	})
	for _, test := range []struct {
		name, method string
		message      any
		want         auth0grpc.Reason
		code         codes.Code
	}{
		{"own", ordersService + "Get", order(t, `order_id: "7"`), pass, codes.OK},
		{"foreign", ordersService + "Get", order(t, `order_id: "8"`), auth0grpc.ReasonNoRelation, codes.PermissionDenied},
		{"of an unknown method", ordersService + "Unknown", order(t, `order_id: "7"`), pass, codes.OK},
		{"of an unknown service", "/orders.v1.Unknown/Get", order(t, `order_id: "7"`), pass, codes.OK},
		{"of a service with the name of a message", "/orders.v1.Customer/Get", order(t, `order_id: "7"`), pass, codes.OK},
		{"of the first generation", "/orders.v1.Unknown/Get", &legacyOrder{OrderID: "7"}, pass, codes.OK},
		{"of the first generation, foreign", "/orders.v1.Unknown/Get", &legacyOrder{OrderID: "8"}, auth0grpc.ReasonNoRelation, codes.PermissionDenied},
		{"of a continuation byte", "/orders.v1.Unknown/Get", &legacyOrder{OrderID: "7\x80"}, auth0grpc.ReasonNoRelation, codes.PermissionDenied},
		{"of bytes that are no text", "/orders.v1.Unknown/Get", &legacyOrder{OrderID: "7\xff"}, auth0grpc.ReasonNoRelation, codes.PermissionDenied},
		{"of another type", ordersService + "Get", &legacyOrder{OrderID: "7"}, broken, codes.Internal},
		{"that panics", ordersService + "Get", brokenOrder{}, broken, codes.Internal},
		{"no protobuf", ordersService + "Get", "7", broken, codes.Internal},
	} {
		t.Run(test.name, func(t *testing.T) { f.throughMessageDoors(t, test.method, test.message, test.want, test.code) })
	}
}

// A row may have several rules of a kind. A message must meet each.
func TestSeveralMessageRules(t *testing.T) {
	rule := auth0grpc.Scopes("read:orders").
		Same("org_id", auth0grpc.ClaimOrganization).Same("customer.id", auth0grpc.ClaimOrganization).
		Relation("viewer", "order:{order_id}").Relation("editor", "order:{order_id}").Relation("viewer", "page:{by_name}")
	f := newFixture(t, transports(), func(f *fixture, config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{ordersService + "*": rule}
		config.RelationChecker = auth0grpc.RelationCheckerFunc(func(_ context.Context, q auth0grpc.RelationQuery) (bool, error) {
			return q.Relation == "viewer" && q.Object != "page:8" || q.Object == "order:7", nil
		})
	})
	f.plain = f.token(claims{"org_id": "org_a"})
	for message, want := range map[string]auth0grpc.Reason{
		`org_id: "org_a" customer { id: "org_a" } order_id: "7" by_name: "7"`: "",
		`org_id: "org_b" customer { id: "org_a" } order_id: "7" by_name: "7"`: auth0grpc.ReasonNotOwner,
		`org_id: "org_a" customer { id: "org_b" } order_id: "7" by_name: "7"`: auth0grpc.ReasonNotOwner,
		`org_id: "org_a" customer { id: "org_a" } order_id: "8" by_name: "7"`: auth0grpc.ReasonNoRelation,
		`org_id: "org_a" customer { id: "org_a" } order_id: "7" by_name: "8"`: auth0grpc.ReasonNoRelation,
		`org_id: "org_a" customer { id: "org_a" } order_id: "7"`:              auth0grpc.ReasonNoRelation,
	} {
		code := codes.PermissionDenied
		if want == "" {
			code = codes.OK
		}
		f.throughMessageDoors(t, ordersService+"Get", order(t, message), want, code)
	}
}

// The cause of a refusal tells an operator the reason why a rule cannot be evaluated.
func TestCausesOfMessages(t *testing.T) {
	f := newFixture(t, transports(), func(_ *fixture, config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{ordersService + "*": auth0grpc.Authenticated().Same("org_id", auth0grpc.ClaimOrganization)}
	})
	for want, message := range map[string]any{
		"the rule needs a protobuf message, and the request is none":                                                          "org_a",
		"reading the fields of the request panicked":                                                                          brokenOrder{},
		"the request is of type github_com.auth0grpc.auth0grpc_test.legacyOrder, and the method takes orders.v1.OrderRequest": &legacyOrder{},
	} {
		_, err := f.guard.Check(t.Context(), auth0grpc.Request{FullMethod: ordersService + "Get", Authorization: bearer(f.plain), Message: message})
		if !errors.Is(err, auth0grpc.ErrRuleMisconfigured) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A goroutine that outlives its handler receives no message that the rule refuses.
func TestMessageAfterTheReturn(t *testing.T) {
	f := newFixture(t, transports(), func(_ *fixture, config *auth0grpc.Config) {
		config.Methods[streamShapes[2].name] = auth0grpc.Authenticated().Same("response_status.message", auth0grpc.ClaimSubject)
	})
	md := metadata.Pairs("authorization", "Bearer "+f.plain)
	ctx := grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(t.Context(), md), endingTransport{&transportStream{method: streamShapes[2].name}})
	var left grpc.ServerStream
	err := f.guard.StreamServerInterceptor()(nil, messageStream{serverStream{ctx: ctx}}, &grpc.StreamServerInfo{FullMethod: streamShapes[2].name}, func(_ any, stream grpc.ServerStream) error {
		left = stream
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = left.RecvMsg(&testgrpc.StreamingOutputCallRequest{ResponseStatus: &testgrpc.EchoStatus{Message: "auth0|other"}})
	if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonNotOwner {
		t.Errorf("RecvMsg = %v, want %s", err, auth0grpc.ReasonNotOwner)
	}
}

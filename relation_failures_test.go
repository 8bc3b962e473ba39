package auth0grpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
)

// Allowed never reports true beside an error, and its status fits a call whose handler
// runs.
func TestAllowedWithoutAnAnswer(t *testing.T) {
	checker := auth0grpc.RelationCheckerFunc(func(_ context.Context, q auth0grpc.RelationQuery) (bool, error) {
		switch q.Object {
		case "order:down":
			return true, errSecret
		case "order:rejected":
			return true, auth0grpc.ErrRuleMisconfigured
		}
		return strings.HasPrefix(q.Object, "order:7"), nil
	})
	for _, test := range []struct {
		name             string
		checker          auth0grpc.RelationChecker
		rule             auth0grpc.Rule
		relation, object string
		allowed          bool
		code             codes.Code
		kind             error
	}{
		{"yes", checker, auth0grpc.Authenticated(), "viewer", "order:7", true, codes.OK, nil},
		{"no", checker, auth0grpc.Authenticated(), "viewer", "order:8", false, codes.OK, nil},
		{"down", checker, auth0grpc.Authenticated(), "viewer", "order:down", false, codes.Unavailable, auth0grpc.ErrRelationsUnavailable},
		{"rejected", checker, auth0grpc.Authenticated(), "viewer", "order:rejected", false, codes.Internal, auth0grpc.ErrRuleMisconfigured},
		{"no checker", nil, auth0grpc.Authenticated(), "viewer", "order:7", false, codes.Internal, auth0grpc.ErrRuleMisconfigured},
		{"no token", checker, auth0grpc.Public(), "viewer", "order:7", false, codes.Unauthenticated, auth0grpc.ErrMissingToken},
		{"longest relation", checker, auth0grpc.Authenticated(), strings.Repeat("r", 50), "order:7", true, codes.OK, nil},
		{"longest object", checker, auth0grpc.Authenticated(), "viewer", "order:7" + strings.Repeat("7", 249), true, codes.OK, nil},
		{"long object", checker, auth0grpc.Authenticated(), "viewer", "order:7" + strings.Repeat("7", 250), false, codes.OK, nil},
		{"long relation", checker, auth0grpc.Authenticated(), strings.Repeat("r", 51), "order:7", false, codes.Internal, auth0grpc.ErrRuleMisconfigured},
	} {
		f := newFixture(t, transports(), func(_ *fixture, config *auth0grpc.Config) {
			config.Methods = map[string]auth0grpc.Rule{allMethods: test.rule}
			config.RelationChecker = test.checker
		})
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+f.plain))
		ask := func(ctx context.Context) error {
			allowed, err := auth0grpc.Allowed(ctx, test.relation, test.object)
			if allowed != test.allowed || !errors.Is(err, test.kind) || status.Code(err) != test.code || auth0grpc.RefusedBeforeHandler(err) {
				t.Errorf("%s: %t, %v; want %t, %s", test.name, allowed, err, test.allowed, test.code)
			}
			return nil
		}
		_, err := f.guard.UnaryServerInterceptor()(ctx, nil, &grpc.UnaryServerInfo{FullMethod: unaryCall}, func(ctx context.Context, _ any) (any, error) { return nil, ask(ctx) })
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		err = f.guard.StreamServerInterceptor()(nil, serverStream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: unaryCall}, func(_ any, stream grpc.ServerStream) error { return ask(stream.Context()) })
		if err != nil {
			t.Errorf("%s, stream: %v", test.name, err)
		}
	}
}

// A slowChecker answers when it is released. It tells when it was asked.
type slowChecker struct{ asked, released chan struct{} }

func newSlowChecker(t *testing.T) *slowChecker {
	c := &slowChecker{make(chan struct{}, 100), make(chan struct{})}
	t.Cleanup(func() { close(c.released) })
	return c
}

func (c *slowChecker) CheckRelation(context.Context, auth0grpc.RelationQuery) (bool, error) {
	c.asked <- struct{}{}
	<-c.released
	return true, nil
}

// useSlowChecker makes a row ask a checker that answers at the end of the test.
func useSlowChecker(checker *slowChecker, maxChecks int) option {
	return func(_ *fixture, config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{ordersService + "*": auth0grpc.Authenticated().Relation("viewer", "order:{order_id}")}
		config.RelationChecker = checker
		config.Relations = auth0grpc.RelationConfig{Timeout: time.Hour, MaxChecks: maxChecks}
	}
}

// A caller that leaves during the check is no failure of the engine.
func TestCallerLeavesDuringTheCheck(t *testing.T) {
	checker := newSlowChecker(t)
	f := newFixture(t, transports(), useSlowChecker(checker, 0))
	for id, door := range messageDoors { // one question for each door
		ctx, leave := context.WithCancel(metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+f.plain)))
		go func() {
			<-checker.asked
			leave()
		}()
		received, err := door(ctx, f, ordersService+"Get", order(t, `order_id: "`+id+`"`))
		if reason, ok := auth0grpc.ReasonFromError(err); received || ok || status.Code(err) != codes.Canceled || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v (%s), received: %t", id, err, reason, received)
		}
	}
}

// The checks in progress are bounded: another question is refused, and the same one waits.
func TestMaxChecks(t *testing.T) {
	checker := newSlowChecker(t)
	f := newFixture(t, transports(), useSlowChecker(checker, 1))
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+f.plain))
	first, leave := context.WithCancel(ctx)
	defer leave()
	go messageDoors["unary"](first, f, ordersService+"Get", order(t, `order_id: "7"`))
	<-checker.asked
	f.throughMessageDoors(t, ordersService+"Get", order(t, `order_id: "8"`), auth0grpc.ReasonRelationsUnavailable, codes.Unavailable)
}

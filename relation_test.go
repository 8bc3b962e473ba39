package auth0grpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// noRelations is a checker that knows no relation.
var noRelations = auth0grpc.RelationCheckerFunc(func(context.Context, auth0grpc.RelationQuery) (bool, error) { return false, nil })

// A tupleSet is a checker that knows tuples "subject relation object". It records its
// queries.
type tupleSet struct {
	mu      sync.Mutex
	tuples  map[string]bool
	queries []auth0grpc.RelationQuery
	err     error
}

func tuplesOf(tuples ...string) *tupleSet {
	s := &tupleSet{tuples: map[string]bool{}}
	for _, tuple := range tuples {
		s.tuples[tuple] = true
	}
	return s
}

func (s *tupleSet) CheckRelation(_ context.Context, query auth0grpc.RelationQuery) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, query)
	return s.tuples[query.Token.Subject()+" "+query.Relation+" "+query.Object], s.err
}

func (s *tupleSet) taken() []auth0grpc.RelationQuery {
	s.mu.Lock()
	defer s.mu.Unlock()
	queries := s.queries
	s.queries = nil
	return queries
}

func TestRelation(t *testing.T) {
	tests := []struct {
		name, object, message string
		passes                bool
		asked                 []string // objects that the checker receives
	}{
		{"related", "order:{order_id}", `order_id: "7"`, true, []string{"order:7"}},
		{"not related", "order:{order_id}", `order_id: "8"`, false, []string{"order:8"}},
		{"unset", "order:{order_id}", ``, false, nil},
		{"userset", "order:{order_id}", `order_id: "7#viewer"`, false, nil},
		{"another type", "order:{order_id}", `order_id: "a:7"`, false, nil},
		{"wildcard", "order:{order_id}", `order_id: "*"`, false, nil},
		{"at", "order:{order_id}", `order_id: "7@b"`, false, nil},
		{"space", "order:{order_id}", `order_id: "7 "`, false, nil},
		{"line feed", "order:{order_id}", `order_id: "7\n"`, false, nil},
		{"delete", "order:{order_id}", `order_id: "7\177"`, false, nil},
		{"NUL", "order:{order_id}", `order_id: "7\0"`, false, nil},
		{"no-break space", "order:{order_id}", `order_id: "7\302\240"`, false, nil},
		{"next line", "order:{order_id}", `order_id: "7\302\205"`, false, nil},
		{"userset behind other letters", "order:{order_id}", `order_id: "ö#viewer"`, false, nil},
		{"another type behind other letters", "order:{order_id}", `order_id: "ö:7"`, false, nil},
		{"wildcard behind other letters", "order:{order_id}", `order_id: "ö*"`, false, nil},
		{"at behind other letters", "order:{order_id}", `order_id: "ö@b"`, false, nil},
		{"space behind other letters", "order:{order_id}", `order_id: "ö "`, false, nil},
		{"control behind other letters", "order:{order_id}", `order_id: "ö\001"`, false, nil},
		{"control beyond ASCII", "order:{order_id}", `order_id: "7\302\200"`, false, nil},
		{"other letters", "order:{order_id}", `order_id: "größe"`, true, []string{"order:größe"}},
		{"longest", "order:{order_id}", `order_id: "` + strings.Repeat("a", 250) + `"`, true, []string{"order:" + strings.Repeat("a", 250)}},
		{"too long", "order:{order_id}", `order_id: "` + strings.Repeat("a", 251) + `"`, false, nil},
		{"integer", "order:{number}", `number: 7`, true, []string{"order:7"}},
		{"integer zero is unset", "order:{number}", `number: 0`, false, nil},
		{"two fields", "order:{org_id}/{order_id}", `org_id: "a" order_id: "7"`, true, []string{"order:a/7"}},
		{"a separator in a field", "order:{org_id}/{order_id}", `org_id: "a/b" order_id: "7"`, false, nil},
		{"a separator in the other field", "order:{org_id}/{order_id}", `org_id: "a" order_id: "b/7"`, false, nil},
		{"one of two fields", "order:{org_id}/{order_id}", `org_id: "a"`, false, nil},
		{"text behind", "order:{order_id}-x", `order_id: "7"`, true, []string{"order:7-x"}},
		{"constant", "system:main", ``, true, []string{"system:main"}},
		{"every element", "order:{ids}", `ids: ["7", "9"]`, true, []string{"order:7", "order:9"}},
		{"one foreign element", "order:{ids}", `ids: ["7", "8", "9"]`, false, []string{"order:7", "order:8"}},
		{"an empty element", "order:{ids}", `ids: ["7", ""]`, false, nil},
		{"no elements", "order:{ids}", ``, false, nil},
		{"elements and a field", "order:{org_id}/{ids}", `org_id: "a" ids: ["7", "9"]`, true, []string{"order:a/7", "order:a/9"}},
		{"too many elements", "order:{ids}", `ids: [` + strings.Repeat(`"7",`, 50) + `"7"]`, false, nil},
		{"elements in messages", "order:{items.tags}", `items: [{tags: ["7", "9"]}, {tags: "3"}]`, true, []string{"order:7", "order:9", "order:3"}},
		{"a userset among elements in messages", "order:{items.tags}", `items: [{tags: ["7", "9#viewer"]}, {tags: "3"}]`, false, nil},
		{"element in messages", "order:{items.id}", `items: [{id: "7"}, {id: "9"}]`, true, []string{"order:7", "order:9"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var tuples []string
			for _, object := range test.asked {
				if !strings.HasSuffix(object, ":8") {
					tuples = append(tuples, "auth0|ann viewer "+object)
				}
			}
			checker := tuplesOf(tuples...)
			f := newFixture(t, serveOrders(auth0grpc.Scopes("read:orders").Relation("viewer", test.object)), func(_ *fixture, c *auth0grpc.Config) {
				c.RelationChecker = checker
				c.Relations.CacheLifetime = auth0grpc.NoCache
			})
			token := f.tenant.Token(claims{"scope": "read:orders", "sub": "auth0|ann"})
			for _, shape := range orderShapes {
				_, err := f.send(t.Context(), shape, token, order(t, test.message))
				if !test.passes {
					f.wantRefused(t, shape, err, auth0grpc.ReasonNoRelation, codes.PermissionDenied)
				} else if n := f.orders.taken(); err != nil || n != 1 {
					t.Errorf("%s: %v, handlers received %d messages; want the call to pass", shape.name, err, n)
				}
				asked := checker.taken()
				if len(asked) != len(test.asked) {
					t.Errorf("%s: %d checks, want %d", shape.name, len(asked), len(test.asked))
					continue
				}
				for i, query := range asked {
					if query.Object != test.asked[i] || query.Relation != "viewer" || query.FullMethod != shape.name || query.Token.Subject() != "auth0|ann" {
						t.Errorf("%s: query %+v, want the object %s", shape.name, query, test.asked[i])
					}
				}
			}
		})
	}
}

// A later message of a stream is checked if it names another record.
func TestMessagesOfStreams(t *testing.T) {
	const own = `org_id: "org_a" order_id: "7"`
	rule := auth0grpc.Scopes("read:orders").Same("org_id", auth0grpc.ClaimOrganization).Relation("viewer", "order:{order_id}")
	tests := []struct {
		name     string
		messages []string
		received int
		reason   auth0grpc.Reason
		asked    int
	}{
		{"one", []string{own}, 1, "", 1},
		{"the same record", []string{own, own, own}, 3, "", 1},
		{"no record later", []string{own, ``, `chunk: "x"`}, 3, "", 1},
		{"the same record behind none", []string{own, ``, own}, 3, "", 1},
		{"another own record", []string{own, `org_id: "org_a" order_id: "9"`, own}, 3, "", 3},
		{"another own record, organization unset", []string{own, `order_id: "9"`}, 2, "", 2},
		{"a foreign record later", []string{own, own, `org_id: "org_a" order_id: "8"`, own}, 2, auth0grpc.ReasonNoRelation, 2},
		{"a foreign organization later", []string{own, `org_id: "org_b"`, own}, 1, auth0grpc.ReasonNotOwner, 1},
		{"no record first", []string{``, own}, 0, auth0grpc.ReasonNotOwner, 0},
		{"no messages", nil, 0, auth0grpc.ReasonNotOwner, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checker := tuplesOf("auth0|ann viewer order:7", "auth0|ann viewer order:9")
			f := newFixture(t, serveOrders(rule), func(_ *fixture, c *auth0grpc.Config) {
				c.RelationChecker = checker
				c.Relations.CacheLifetime = auth0grpc.NoCache
			})
			token := f.tenant.Token(claims{"scope": "read:orders", "sub": "auth0|ann", "org_id": "org_a"})
			for _, shape := range orderShapes[2:] {
				var err error
				ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
				stream, openErr := f.conns["bufconn"].NewStream(ctx, &shape.desc, shape.name)
				if openErr != nil {
					t.Fatal(openErr)
				}
				for _, text := range test.messages {
					_ = stream.SendMsg(order(t, text)) // io.EOF if the stream has ended
				}
				_ = stream.CloseSend()
				for err == nil {
					err = stream.RecvMsg(newOrder())
				}
				reason, _ := auth0grpc.ReasonFromError(err)
				if reason != test.reason || test.reason == "" && err != io.EOF {
					t.Errorf("%s: %v, want %q", shape.name, err, test.reason)
				}
				if auth0grpc.RefusedBeforeHandler(err) {
					t.Errorf("%s: states that no handler ran", shape.name)
				}
				if n := f.orders.taken(); n != test.received {
					t.Errorf("%s: the handler received %d messages, want %d", shape.name, n, test.received)
				}
				if n := len(checker.taken()); n != test.asked {
					t.Errorf("%s: %d checks, want %d", shape.name, n, test.asked)
				}
			}
		})
	}
}

// A handler that sends before it has received a message sends nothing: the client has
// named no record.
func TestNothingIsSentBeforeTheFirstMessage(t *testing.T) {
	f := newFixture(t, serveOrders(auth0grpc.Scopes("read:orders").Same("org_id", auth0grpc.ClaimOrganization)))
	ended := make(chan error, 1)
	f.orders.handle = func(stream grpc.ServerStream) error {
		err := stream.SendMsg(newOrder())
		ended <- context.Cause(stream.Context())
		return err
	}
	token := f.tenant.Token(claims{"scope": "read:orders", "org_id": "org_a"})
	for _, shape := range orderShapes[1:] {
		answers, err := f.send(t.Context(), shape, token, order(t, `org_id: "org_a"`))
		if answers != 0 {
			t.Errorf("%s: %d answers", shape.name, answers)
		}
		f.wantRefused(t, shape, err, auth0grpc.ReasonNotOwner, codes.PermissionDenied)
		if cause := <-ended; !errors.Is(cause, auth0grpc.ErrResourceDenied) {
			t.Errorf("%s: the cause in the handler is %v", shape.name, cause)
		}
	}
}

// A handler that ignores the error of RecvMsg sends nothing after it.
func TestRefusedStreamIsClosed(t *testing.T) {
	f := newFixture(t, serveOrders(auth0grpc.Scopes("read:orders").Same("org_id", auth0grpc.ClaimOrganization)))
	f.orders.handle = func(stream grpc.ServerStream) error {
		for range 3 {
			_ = stream.RecvMsg(newOrder())
			_ = stream.SendMsg(newOrder())
		}
		return nil
	}
	token := f.tenant.Token(claims{"scope": "read:orders", "org_id": "org_a"})
	for _, shape := range orderShapes[2:] {
		answers, err := f.send(t.Context(), shape, token, order(t, `org_id: "org_b"`), order(t, `org_id: "org_a"`))
		if answers != 0 {
			t.Errorf("%s: %d answers", shape.name, answers)
		}
		f.wantRefused(t, shape, err, auth0grpc.ReasonNotOwner, codes.PermissionDenied)
	}
}

// Report-only lets messages pass and reports them: a stream once.
func TestMessageRulesReportOnly(t *testing.T) {
	rule := auth0grpc.Scopes("read:orders").Same("org_id", auth0grpc.ClaimOrganization).ReportOnly()
	f := newFixture(t, serveOrders(rule))
	token := f.tenant.Token(claims{"scope": "read:orders", "org_id": "org_a"})
	foreign := order(t, `org_id: "org_b"`)
	var reports []auth0grpc.Decision
	for _, shape := range orderShapes {
		messages := 1
		if shape.desc.ClientStreams {
			messages = 3
		}
		var sent []proto.Message
		for range messages {
			sent = append(sent, foreign)
		}
		if _, err := f.send(t.Context(), shape, token, sent...); err != nil {
			t.Errorf("%s: %v", shape.name, err)
		}
		if n := f.orders.taken(); n != messages {
			t.Errorf("%s: the handler received %d messages, want %d", shape.name, n, messages)
		}
		reports = append(reports, f.decisions.waitFor(t, auth0grpc.OutcomeReported))
		if last := reports[len(reports)-1]; last.Reason != auth0grpc.ReasonNotOwner || last.Rule == "" || last.FullMethod != shape.name {
			t.Errorf("%s: reported %+v", shape.name, last)
		}
	}
	for _, d := range f.decisions.take() {
		if d.Outcome == auth0grpc.OutcomeReported {
			t.Errorf("one more report: %+v", d)
		}
	}
}

// Report-only lets a call pass whose token does not meet the rule. Its messages are not
// judged: the engine is not asked.
func TestReportedCallsAskNothing(t *testing.T) {
	checker := tuplesOf()
	rule := auth0grpc.Scopes("read:orders").Relation("viewer", "order:{order_id}").ReportOnly()
	f := newFixture(t, serveOrders(rule), func(_ *fixture, c *auth0grpc.Config) { c.RelationChecker = checker })
	for _, shape := range orderShapes {
		if _, err := f.send(t.Context(), shape, f.tenant.Token(claims{"scope": ""}), order(t, `order_id: "7"`)); err != nil {
			t.Errorf("%s: %v", shape.name, err)
		}
		s, err := f.guard.CheckStream(t.Context(), auth0grpc.Request{
			FullMethod: shape.name, Authorization: bearer(f.tenant.Token(claims{"scope": ""})), MessagesFollow: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Received(order(t, `order_id: "7"`), nil); err != nil || s.Sends() != nil || s.Close() != nil {
			t.Errorf("%s, opened by CheckStream: %v", shape.name, err)
		}
	}
	if asked := checker.taken(); len(asked) > 0 {
		t.Errorf("%d checks: %v", len(asked), asked)
	}
}

// A stream that breaks off before its first message keeps its own error. One that the
// client ends there has named no record.
func TestNoFirstMessage(t *testing.T) {
	rule := auth0grpc.Scopes("read:orders").Relation("viewer", "order:{order_id}")
	f := newFixture(t, serveOrders(rule), func(_ *fixture, c *auth0grpc.Config) { c.RelationChecker = tuplesOf() })
	brokeOff := errors.New("broke off")
	for err, want := range map[error]error{brokeOff: brokeOff, context.Canceled: context.Canceled, io.EOF: nil} {
		s, opened := f.guard.CheckStream(t.Context(), auth0grpc.Request{
			FullMethod: orderShapes[3].name, Authorization: bearer(f.token(nil)), MessagesFollow: true,
		})
		if opened != nil {
			t.Fatal(opened)
		}
		got := s.Received(nil, err)
		if reason, refused := auth0grpc.ReasonFromError(got); want != nil && got != want || want == nil && (!refused || reason == "") {
			t.Errorf("in place of %v: %v", err, got)
		}
		s.Close()
	}
}

// An engineFailure is a state of the relation engine.
type engineFailure struct {
	name   string
	check  func(context.Context, auth0grpc.RelationQuery) (bool, error)
	reason auth0grpc.Reason
	code   codes.Code
	kind   error
	cause  string // the end of the text for outer interceptors
}

var errSecret = errors.New("the tuple of auth0|secret is gone")

// TestEngineFailures makes calls while the engine is in each state. No state lets a foreign
// call pass, and none holds a call for longer than Relations.Timeout.
func TestEngineFailures(t *testing.T) {
	unavailable := func(name, cause string, check func(context.Context, auth0grpc.RelationQuery) (bool, error)) engineFailure {
		return engineFailure{name, check, auth0grpc.ReasonRelationsUnavailable, codes.Unavailable, auth0grpc.ErrRelationsUnavailable, cause}
	}
	const own, slow = "the RelationChecker returned an error of type *errors.errorString", "the check took too long"
	for _, failure := range []engineFailure{
		unavailable("down", own, func(context.Context, auth0grpc.RelationQuery) (bool, error) { return false, errSecret }),
		unavailable("yes with an error", own, func(context.Context, auth0grpc.RelationQuery) (bool, error) { return true, errSecret }),
		unavailable("slow", slow, func(ctx context.Context, _ auth0grpc.RelationQuery) (bool, error) {
			<-ctx.Done()
			return true, ctx.Err()
		}),
		unavailable("slow, and answers after all", slow, func(ctx context.Context, _ auth0grpc.RelationQuery) (bool, error) {
			<-ctx.Done()
			return true, nil
		}),
		unavailable("status of its own", "the RelationChecker returned an error of type *status.Error", func(context.Context, auth0grpc.RelationQuery) (bool, error) {
			return false, status.Error(codes.OK+2000, "validation of auth0|secret")
		}),
		unavailable("panics", "Config.RelationChecker panicked", func(context.Context, auth0grpc.RelationQuery) (bool, error) { panic("auth0|secret") }),
		{
			"rejects the query", func(context.Context, auth0grpc.RelationQuery) (bool, error) {
				return false, errors.Join(errSecret, auth0grpc.ErrRuleMisconfigured)
			},
			auth0grpc.ReasonRuleMisconfigured, codes.Internal, auth0grpc.ErrRuleMisconfigured,
			"the RelationChecker returned an error of type *errors.joinError",
		},
		{"says no", func(context.Context, auth0grpc.RelationQuery) (bool, error) { return false, nil }, auth0grpc.ReasonNoRelation, codes.NotFound, auth0grpc.ErrResourceDenied, "not found"},
	} {
		t.Run(failure.name, func(t *testing.T) {
			var log sink
			var outer error
			rule := auth0grpc.Scopes("read:orders").Relation("viewer", "order:{order_id}").HideExistence()
			f := newFixture(t, serveOrders(rule), func(_ *fixture, c *auth0grpc.Config) {
				c.RelationChecker = auth0grpc.RelationCheckerFunc(failure.check)
				c.Relations.Timeout = time.Millisecond
				if failure.name == "panics" || failure.name == "down" || strings.HasPrefix(failure.name, "yes") {
					c.Relations.Timeout = time.Hour
				}
				c.Logger = log.logger()
			})
			token := f.tenant.Token(claims{"scope": "read:orders"})
			for _, shape := range orderShapes {
				_, err := f.send(t.Context(), shape, token, order(t, `order_id: "secret"`))
				f.wantRefused(t, shape, err, failure.reason, failure.code)
				retry := false
				for _, detail := range status.Convert(err).Details() {
					_, isRetry := detail.(*errdetails.RetryInfo)
					retry = retry || isRetry
				}
				if retry != (failure.code == codes.Unavailable) {
					t.Errorf("%s: RetryInfo is there: %t", shape.name, retry)
				}
			}
			// The error that an outer interceptor sees wraps the kind, and is silent.
			ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+token))
			_, outer = f.guard.UnaryServerInterceptor()(ctx, order(t, `order_id: "secret"`), &grpc.UnaryServerInfo{FullMethod: ordersService + "Get"}, nil)
			if !errors.Is(outer, failure.kind) || !strings.HasSuffix(outer.Error(), failure.cause) {
				t.Errorf("outside: %v, want %v, %s", outer, failure.kind, failure.cause)
			}
			if logged := strings.Contains(log.String(), "RelationChecker panicked"); logged != (failure.name == "panics") {
				t.Errorf("a panic is logged: %t", logged)
			}
			if text := fmt.Sprint(outer, log.String(), f.decisions.take()); strings.Contains(text, "auth0|secret") {
				t.Errorf("the text names the subject: %s", text)
			}
		})
	}
}

// The engine goes down and comes back: cached answers pass meanwhile, others are refused
// and soon without a check, and a second after it is back all pass.
func TestEngineRestarts(t *testing.T) {
	checker := tuplesOf("auth0|ann viewer order:7", "auth0|ann viewer order:9")
	f := newFixture(t, serveOrders(auth0grpc.Authenticated().Relation("viewer", "order:{order_id}")), func(_ *fixture, c *auth0grpc.Config) {
		c.RelationChecker = checker
		c.Relations.CacheLifetime = time.Minute
	})
	token := f.tenant.Token(claims{"sub": "auth0|ann"})
	get := func(id string) auth0grpc.Reason {
		_, err := f.send(t.Context(), orderShapes[0], token, order(t, `order_id: "`+id+`"`))
		reason, _ := auth0grpc.ReasonFromError(err)
		return reason
	}
	if reason := get("7"); reason != "" {
		t.Fatalf("up: %s", reason)
	}
	checker.mu.Lock()
	checker.err = errSecret
	checker.mu.Unlock()
	checker.taken()
	for range 100 {
		if own, other := get("7"), get("9"); own != "" || other != auth0grpc.ReasonRelationsUnavailable {
			t.Fatalf("down: %q, %q", own, other)
		}
	}
	if n := len(checker.taken()); n >= 20 {
		t.Errorf("%d checks while the engine was down, want few", n)
	}
	checker.mu.Lock()
	checker.err = nil
	checker.mu.Unlock()
	f.clock.Advance(time.Second)
	if reason := get("9"); reason != "" {
		t.Errorf("up again: %s", reason)
	}
	if reason := get("8"); reason != auth0grpc.ReasonNoRelation {
		t.Errorf("a foreign order: %q", reason)
	}
}

// An answer counts for the subject, client and organization that it was given for.
func TestAnswersAreNotShared(t *testing.T) {
	f := newFixture(t, serveOrders(auth0grpc.Authenticated().Relation("viewer", "order:{order_id}")), func(_ *fixture, c *auth0grpc.Config) {
		c.RelationChecker = auth0grpc.RelationCheckerFunc(func(_ context.Context, query auth0grpc.RelationQuery) (bool, error) {
			return query.Token.Subject() == "auth0|ann" && query.Token.OrganizationID() == "org_a" && query.Token.ClientID() == "client-a" && query.Token.Actor() == "", nil
		})
	})
	good := claims{"sub": "auth0|ann", "org_id": "org_a", "azp": "client-a"}
	for name, other := range map[string]claims{
		"good": nil, "subject": {"sub": "auth0|bob"}, "organization": {"org_id": "org_b"}, "no organization": {"org_id": nil}, "client": {"azp": "client-b"},
		"actor": {"act": claims{"sub": "agt_1"}},
	} {
		_, first := f.send(t.Context(), orderShapes[0], f.tenant.Token(good), order(t, `order_id: "7"`))
		_, err := f.send(t.Context(), orderShapes[0], f.tenant.Token(with(good, other)), order(t, `order_id: "7"`))
		if first != nil || (err == nil) != (name == "good") {
			t.Errorf("%s: %v, %v", name, first, err)
		}
	}
}

// AuthFunc and Check without a message refuse rows with rules about messages.
func TestMessageRulesNeedTheMessage(t *testing.T) {
	f := newFixture(t, serveOrders(auth0grpc.Authenticated().Same("org_id", auth0grpc.ClaimOrganization)))
	token := f.tenant.Token(claims{"org_id": "org_a"})
	request := auth0grpc.Request{FullMethod: ordersService + "Get", Authorization: bearer(token)}
	if _, err := f.guard.Check(t.Context(), request); !errors.Is(err, auth0grpc.ErrRuleMisconfigured) {
		t.Errorf("Check without a message: %v", err)
	}
	request.Message = order(t, `org_id: "org_b"`)
	if _, err := f.guard.Check(t.Context(), request); !errors.Is(err, auth0grpc.ErrResourceDenied) {
		t.Errorf("Check with a foreign message: %v", err)
	}
	request.Message = order(t, `org_id: "org_a"`)
	if _, err := f.guard.Check(t.Context(), request); err != nil {
		t.Errorf("Check with an own message: %v", err)
	}
	for name, message := range map[string]any{
		"bytes": []byte("org_a"), "text": "org_a", "another type": dynamicpb.NewMessage(ordersFile.Messages().ByName("Stranger")),
	} {
		request.Message = message
		if _, err := f.guard.Check(t.Context(), request); !errors.Is(err, auth0grpc.ErrRuleMisconfigured) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.guard.CheckServices(f.server.GetServiceInfo()); err != nil {
		t.Errorf("CheckServices: %v", err)
	}
	authFunc := f.guard.AuthFunc()
	ctx := grpc.NewContextWithServerTransportStream(t.Context(), &transportStream{method: ordersService + "Get"})
	ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+token))
	if _, err := authFunc(ctx); !errors.Is(err, auth0grpc.ErrRuleMisconfigured) {
		t.Errorf("AuthFunc: %v", err)
	}
	if err := f.guard.CheckServices(f.server.GetServiceInfo()); err == nil || !strings.Contains(err.Error(), "AuthFunc sees none") {
		t.Errorf("CheckServices after AuthFunc: %v", err)
	}
}

// Allowed asks with the token of the call, and shares the cache with the rules.
func TestAllowed(t *testing.T) {
	checker := tuplesOf("auth0|ann viewer order:7")
	f := newFixture(t, serveOrders(auth0grpc.Authenticated().Relation("viewer", "order:{order_id}")), func(_ *fixture, c *auth0grpc.Config) { c.RelationChecker = checker })
	type answer struct {
		allowed bool
		err     error
	}
	ask := func(relation, object string) (got answer) {
		f.orders.unary = func(ctx context.Context) error {
			got.allowed, got.err = auth0grpc.Allowed(ctx, relation, object)
			return nil
		}
		if _, err := f.send(t.Context(), orderShapes[0], f.tenant.Token(claims{"sub": "auth0|ann"}), order(t, `order_id: "7"`)); err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, test := range []struct {
		relation, object string
		allowed          bool
		kind             error
	}{
		{"viewer", "order:7", true, nil}, {"viewer", "order:8", false, nil}, {"owner", "order:7", false, nil},
		{"viewer", "7", false, nil}, {"viewer", "order:", false, nil}, {"viewer", ":7", false, nil}, {"viewer", "order:7#x", false, nil},
		{"viewer", "order:a:7", false, nil}, {"viewer", "order:*", false, nil}, {"viewer", "order:7 ", false, nil},
		{"viewer", "or#der:7", false, nil}, {"viewer", "or der:7", false, nil}, {"viewer", "*:7", false, nil}, {"viewer", "ö#x:7", false, nil},
		{"viewer", "order:" + strings.Repeat("a", 251), false, nil},
		{"", "order:7", false, auth0grpc.ErrRuleMisconfigured}, {"viewer#x", "order:7", false, auth0grpc.ErrRuleMisconfigured},
	} {
		got := ask(test.relation, test.object)
		if got.allowed != test.allowed || !errors.Is(got.err, test.kind) || auth0grpc.RefusedBeforeHandler(got.err) {
			t.Errorf("Allowed(%q, %q) = %t, %v", test.relation, test.object, got.allowed, got.err)
		}
	}
	asked := map[string]int{}
	for _, query := range checker.taken() {
		asked[query.Relation+" "+query.Object]++
	}
	if asked["viewer order:7"] != 1 || len(asked) != 3 {
		t.Errorf("checks: %v", asked)
	}
	if _, err := auth0grpc.Allowed(t.Context(), "viewer", "order:7"); !errors.Is(err, auth0grpc.ErrMissingToken) {
		t.Errorf("outside of a call: %v", err)
	}
	ctx := auth0grpctest.ContextWithToken(t.Context(), nil)
	if _, err := auth0grpc.Allowed(ctx, "viewer", "order:7"); !errors.Is(err, auth0grpc.ErrRuleMisconfigured) {
		t.Errorf("without a checker: %v", err)
	}
}

// 10,000 calls for 100 objects make 100 checks.
func TestCallsPerCheck(t *testing.T) {
	var checks atomic.Int64
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.Methods = map[string]auth0grpc.Rule{ordersService + "*": auth0grpc.Authenticated().Relation("viewer", "order:{order_id}")}
	config.RelationChecker = auth0grpc.RelationCheckerFunc(func(context.Context, auth0grpc.RelationQuery) (bool, error) {
		checks.Add(1)
		return true, nil
	})
	guard := mustNew(t, config)
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+tenant.Token(nil)))
	messages := make([]proto.Message, 100)
	for i := range messages {
		messages[i] = order(t, fmt.Sprintf(`order_id: "%d"`, i))
	}
	for i := range 10_000 {
		_, err := guard.UnaryServerInterceptor()(ctx, messages[i%100], &grpc.UnaryServerInfo{FullMethod: ordersService + "Get"}, answerOrder)
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := checks.Load(); n != 100 {
		t.Errorf("%d checks, want 100", n)
	}
}

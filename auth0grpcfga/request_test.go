package auth0grpcfga_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcfga"
)

const id = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

// A scriptedConn is a connection that answers every check with a result.
type scriptedConn struct {
	allowed  bool
	err      error
	requests []*openfgav1.CheckRequest
}

func (c *scriptedConn) Invoke(_ context.Context, _ string, request, reply any, _ ...grpc.CallOption) error {
	c.requests = append(c.requests, proto.CloneOf(request.(*openfgav1.CheckRequest)))
	proto.Merge(reply.(proto.Message), &openfgav1.CheckResponse{Allowed: c.allowed})
	return c.err
}

func (*scriptedConn) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.ErrUnsupported
}

// A scriptedAPI is a transport that answers every request with a status and a text.
type scriptedAPI struct {
	status   int // 0: the request fails
	text     string
	cut      error // after the text
	requests []*http.Request
	bodies   []map[string]any
	closed   int // bodies of answers
}

func (a *scriptedAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	a.requests, a.bodies = append(a.requests, r), append(a.bodies, body)
	if a.status == 0 {
		return nil, errors.New("no connection")
	}
	var answer io.Reader = strings.NewReader(a.text)
	if a.cut != nil {
		answer = io.MultiReader(answer, failingReader{a.cut})
	}
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Body: countedBody{answer, &a.closed}}, nil
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

type countedBody struct {
	io.Reader
	closed *int
}

func (b countedBody) Close() error {
	*b.closed++
	return nil
}

const yes = `{"allowed":true,"decision":true}`

// edits are the settings that the checkers have in common.
type edits struct {
	userType   string
	subject    func(*auth0grpc.Token) string
	token      func(context.Context) (string, error)
	consistent bool
	orgType    string
	orgName    string
	header     http.Header
}

// scripted returns a checker for each way to ask, on conn and api.
func scripted(tb testing.TB, conn *scriptedConn, api *scriptedAPI, e edits) map[string]auth0grpc.RelationChecker {
	tb.Helper()
	client := &http.Client{Transport: api}
	config := auth0grpcfga.Config{
		Conn: conn, Store: id, Model: id, Token: e.token, HigherConsistency: e.consistent, UserType: e.userType, Subject: e.subject,
		OrganizationType: e.orgType, OrganizationRelation: e.orgName,
	}
	overGRPC, err := auth0grpcfga.NewChecker(config)
	if err != nil {
		tb.Fatal(err)
	}
	config.Conn, config.URL, config.HTTPClient = nil, "https://fga.example/", client
	overHTTP, err := auth0grpcfga.NewChecker(config)
	if err != nil {
		tb.Fatal(err)
	}
	authzen, err := auth0grpcfga.NewAuthZENChecker(auth0grpcfga.AuthZENConfig{
		URL: "https://fga.example//", HTTPClient: client, Token: e.token, SubjectType: e.userType, Subject: e.subject, Header: e.header,
	})
	if err != nil {
		tb.Fatal(err)
	}
	if client.CheckRedirect != nil {
		tb.Error("the HTTP client of the program is changed")
	}
	return map[string]auth0grpc.RelationChecker{"gRPC": overGRPC, "HTTP": overHTTP, "AuthZEN": authzen}
}

// checkAll asks each checker whether the caller with claims may view order 7.
func checkAll(tb testing.TB, checkers map[string]auth0grpc.RelationChecker, claims map[string]any, judge func(kind string, allowed bool, err error)) {
	tb.Helper()
	for _, kind := range []string{"gRPC", "HTTP", "AuthZEN"} {
		allowed, err := checkers[kind].CheckRelation(tb.Context(), auth0grpc.RelationQuery{Token: tokenOf(claims), Relation: "viewer", Object: "order:7"})
		judge(kind, allowed, err)
	}
}

// TestRequests covers the requests for each setting of the Config.
func TestRequests(t *testing.T) {
	type object = map[string]any
	caller := object{"sub": "auth0|ann", "org_id": "org_a"}
	for name, test := range map[string]struct {
		edits       edits
		claims      object
		user        string
		consistency openfgav1.ConsistencyPreference
		tuples      []*openfgav1.TupleKey
		want        http.Header // besides the Content-Type
	}{
		"the defaults":               {edits{}, caller, "user:auth0|ann", openfgav1.ConsistencyPreference_MINIMIZE_LATENCY, nil, http.Header{}},
		"higher consistency":         {edits{consistent: true}, caller, "user:auth0|ann", openfgav1.ConsistencyPreference_HIGHER_CONSISTENCY, nil, http.Header{}},
		"another type and subject":   {edits{userType: "employee", subject: func(t *auth0grpc.Token) string { return "a/" + t.Subject() }}, caller, "employee:a/auth0|ann", openfgav1.ConsistencyPreference_MINIMIZE_LATENCY, nil, http.Header{}},
		"an organization":            {edits{orgType: "company", orgName: "staff"}, caller, "user:auth0|ann", openfgav1.ConsistencyPreference_MINIMIZE_LATENCY, []*openfgav1.TupleKey{{User: "user:auth0|ann", Relation: "staff", Object: "company:org_a"}}, http.Header{}},
		"no organization in a token": {edits{orgType: "company", orgName: "staff"}, object{"sub": "auth0|ann"}, "user:auth0|ann", openfgav1.ConsistencyPreference_MINIMIZE_LATENCY, nil, http.Header{}},
		"a token and a header": {edits{
			token:  func(context.Context) (string, error) { return "preshared", nil },
			header: http.Header{"X-Tenant": {"a", "b"}},
		}, caller, "user:auth0|ann", openfgav1.ConsistencyPreference_MINIMIZE_LATENCY, nil, http.Header{"Authorization": {"Bearer preshared"}, "X-Tenant": {"a", "b"}}},
	} {
		conn, api := &scriptedConn{allowed: true}, &scriptedAPI{status: 200, text: yes}
		checkAll(t, scripted(t, conn, api, test.edits), test.claims, func(kind string, allowed bool, err error) {
			if !allowed || err != nil {
				t.Fatalf("%s, %s: %t, %v", name, kind, allowed, err)
			}
		})
		request := &openfgav1.CheckRequest{
			StoreId: id, AuthorizationModelId: id, Consistency: test.consistency,
			TupleKey: &openfgav1.CheckRequestTupleKey{User: test.user, Relation: "viewer", Object: "order:7"},
		}
		body := object{
			"authorization_model_id": id, "consistency": test.consistency.String(),
			"tuple_key": object{"user": test.user, "relation": "viewer", "object": "order:7"},
		}
		if test.tuples != nil {
			request.ContextualTuples = &openfgav1.ContextualTupleKeys{TupleKeys: test.tuples}
			tuple := test.tuples[0]
			body["contextual_tuples"] = object{"tuple_keys": []any{object{"user": tuple.User, "relation": tuple.Relation, "object": tuple.Object}}}
		}
		userType, subject, _ := strings.Cut(test.user, ":")
		evaluation := object{
			"subject": object{"type": userType, "id": subject}, "action": object{"name": "viewer"}, "resource": object{"type": "order", "id": "7"},
		}
		if len(conn.requests) != 1 || !proto.Equal(conn.requests[0], request) {
			t.Errorf("%s: gRPC %v, want %v", name, conn.requests, request)
		}
		if want := []object{body, evaluation}; !reflect.DeepEqual(api.bodies, want) {
			t.Errorf("%s: HTTP %v, want %v", name, api.bodies, want)
		}
		for i, address := range []string{"https://fga.example/stores/" + id + "/check", "https://fga.example/access/v1/evaluation"} {
			header := test.want.Clone()
			header.Set("Content-Type", "application/json")
			if i == 0 {
				header.Del("X-Tenant") // of AuthZEN alone
			}
			if r := api.requests[i]; r.Method != http.MethodPost || r.URL.String() != address {
				t.Errorf("%s: %s %s, want POST %s", name, r.Method, r.URL, address)
			} else if !reflect.DeepEqual(r.Header, header) {
				t.Errorf("%s: %s has the headers %v, want %v", name, r.URL, r.Header, header)
			}
		}
		if api.closed != 2 {
			t.Errorf("%s: %d answers are closed, want 2", name, api.closed)
		}
	}
}

// TestUsersWithoutTuples shows that the engine is not asked for users that can have no
// tuples: an empty subject, and a user of more than 512 bytes.
func TestUsersWithoutTuples(t *testing.T) {
	longest := strings.Repeat("x", 512-len("user:"))
	for name, test := range map[string]struct {
		subject string
		want    bool
	}{
		"empty": {"", false}, "the longest": {longest, true}, "longer": {longest + "x", false}, "the longest when encoded": {longest[3:] + "#", true}, "longer when encoded": {longest[2:] + "#", false},
	} {
		conn, api := &scriptedConn{allowed: true}, &scriptedAPI{status: 200, text: yes}
		checkers := scripted(t, conn, api, edits{subject: func(*auth0grpc.Token) string { return test.subject }})
		checkAll(t, checkers, nil, func(kind string, allowed bool, err error) {
			if allowed != test.want || err != nil {
				t.Errorf("%s, %s: %t, %v", name, kind, allowed, err)
			}
		})
		if asked := len(conn.requests) + len(api.requests); (asked == 3) != test.want || asked != 0 && !test.want {
			t.Errorf("%s: asked %d times", name, asked)
		}
	}
}

// TestUser covers the characters that are encoded. Two subjects never have the same user.
func TestUser(t *testing.T) {
	for subject, want := range map[string]string{
		"a\xff": "user:a%FF", "a\xfe": "user:a%FE", "a\ufffd": "user:a%EF%BF%BD", "a\x00": "user:a%00", "a\x7f": "user:a%7F", "a\u0086": "user:a%C2%86",
		"a\u00a0b": "user:a%C2%A0b", "a\u2028": "user:a%E2%80%A8", "größe": "user:größe", "größe ": "user:größe%20", "a%:#*@": "user:a%25%3A%23%2A%40", "": "user:",
	} {
		if got := auth0grpcfga.User("user", subject); got != want {
			t.Errorf("User(%q) = %q, want %q", subject, got, want)
		}
	}
}

// TestTokenThatFails shows that no request goes out without the token of the Config, and
// that a failure of it is no fault of the rule.
func TestTokenThatFails(t *testing.T) {
	failure := errors.New("no token")
	conn, api := &scriptedConn{allowed: true}, &scriptedAPI{status: 200, text: yes}
	checkers := scripted(t, conn, api, edits{token: func(context.Context) (string, error) { return "", failure }})
	checkAll(t, checkers, nil, func(kind string, allowed bool, err error) {
		if allowed || !errors.Is(err, failure) || errors.Is(err, auth0grpc.ErrRuleMisconfigured) {
			t.Errorf("%s: %t, %v", kind, allowed, err)
		}
	})
	if asked := len(conn.requests) + len(api.requests); asked != 0 {
		t.Errorf("asked %d times", asked)
	}
}

// TestStatusesOfTheEngine covers the codes of gRPC and of OpenFGA. Each has an answer
// beside it that would allow the call.
func TestStatusesOfTheEngine(t *testing.T) {
	for code, misconfigured := range map[codes.Code]bool{
		codes.InvalidArgument: true, codes.NotFound: true, codes.Unimplemented: true, 2000: true, 2027: true, 2999: true, 5000: true, 5002: true, 5999: true,
		codes.Canceled: false, codes.Unknown: false, codes.DeadlineExceeded: false, codes.PermissionDenied: false, codes.Unauthenticated: false,
		codes.Unavailable: false, codes.Internal: false, codes.ResourceExhausted: false, 1999: false, 3000: false, 3500: false, 4999: false, 6000: false,
	} {
		conn := &scriptedConn{allowed: true, err: status.Error(code, "failed")}
		checker, err := auth0grpcfga.NewChecker(auth0grpcfga.Config{Conn: conn, Store: id, Model: id})
		if err != nil {
			t.Fatal(err)
		}
		allowed, err := checker.CheckRelation(t.Context(), auth0grpc.RelationQuery{Token: tokenOf(nil), Relation: "viewer", Object: "order:7"})
		if allowed || status.Code(err) != code || errors.Is(err, auth0grpc.ErrRuleMisconfigured) != misconfigured {
			t.Errorf("%d: %t, %v", code, allowed, err)
		}
	}
}

// TestAnswersOfTheEngine covers answers over HTTP. No other status than 200 is a decision,
// with any text.
func TestAnswersOfTheEngine(t *testing.T) {
	padded := yes + strings.Repeat(" ", 64<<10-len(yes))
	type test struct {
		api           scriptedAPI
		allowed, ok   bool
		misconfigured bool
	}
	tests := map[string]test{
		"yes":           {api: scriptedAPI{status: 200, text: yes}, allowed: true, ok: true},
		"no":            {api: scriptedAPI{status: 200, text: strings.ReplaceAll(yes, "true", "false")}, ok: true},
		"the longest":   {api: scriptedAPI{status: 200, text: padded}, allowed: true, ok: true},
		"longer":        {api: scriptedAPI{status: 200, text: padded + " "}},
		"cut after yes": {api: scriptedAPI{status: 200, text: yes, cut: io.ErrUnexpectedEOF}},
		"two answers":   {api: scriptedAPI{status: 200, text: yes + yes}},
		"no connection": {},
	}
	for _, code := range []int{199, 201, 202, 203, 206, 300, 302, 401, 403, 409, 422, 429, 500, 503} {
		tests[fmt.Sprint(code)] = test{api: scriptedAPI{status: code, text: yes}}
	}
	for _, code := range []int{400, 404} {
		tests[fmt.Sprint(code)] = test{api: scriptedAPI{status: code, text: yes}, misconfigured: true}
	}
	for name, test := range tests {
		checkers := scripted(t, nil, &test.api, edits{})
		for _, kind := range []string{"HTTP", "AuthZEN"} {
			allowed, err := checkers[kind].CheckRelation(t.Context(), auth0grpc.RelationQuery{Token: tokenOf(nil), Relation: "viewer", Object: "order:7"})
			if allowed != test.allowed || (err == nil) != test.ok || errors.Is(err, auth0grpc.ErrRuleMisconfigured) != test.misconfigured {
				t.Errorf("%s, %s: %t, %v", kind, name, allowed, err)
			}
		}
	}
}

package auth0grpcfga_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcfga"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// tokenOf returns a token with claims.
func tokenOf(claims map[string]any) *auth0grpc.Token {
	token, _ := auth0grpc.TokenFromContext(auth0grpctest.ContextWithToken(context.Background(), claims))
	return token
}

// checkersOf returns a checker for each way to ask the engine. AuthZEN knows no contextual
// tuples.
func checkersOf(tb testing.TB, e *engine) map[string]auth0grpc.RelationChecker {
	tb.Helper()
	checkers := map[string]auth0grpc.RelationChecker{}
	for name, config := range e.configs() {
		checker, err := auth0grpcfga.NewChecker(config)
		if err != nil {
			tb.Fatal(err)
		}
		checkers[name] = checker
	}
	authzen, err := auth0grpcfga.NewAuthZENChecker(auth0grpcfga.AuthZENConfig{
		URL: e.url + "/stores/" + e.store, Header: http.Header{"Openfga-Authorization-Model-Id": {e.model}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	checkers["AuthZEN"] = authzen
	return checkers
}

// oddSubjects are subjects with characters that OpenFGA gives a meaning.
var oddSubjects = []string{
	"*", "a:b", "order:7#viewer", "user:auth0|ann", "a b", "a\tb", "a%3Ab", "m@clients", "größe", "\xff", "a#b", "samlp|corp|Ann Doe", strings.Repeat("x", 500),
}

func TestCheckRelation(t *testing.T) {
	e := newEngine(t)
	e.write(t, "user:auth0|ann", "viewer", "order:7")
	e.write(t, "user:auth0|ann", "owner", "order:9")
	e.write(t, "organization:org_a", "organization", "order:8")
	e.write(t, "user:*", "viewer", "order:public")
	for i, subject := range oddSubjects {
		e.write(t, auth0grpcfga.User("user", subject), "viewer", fmt.Sprint("order:odd", i))
	}
	type test struct {
		claims           map[string]any
		relation, object string
		allowed          bool
		kind             error
	}
	ann := map[string]any{"sub": "auth0|ann"}
	tests := []test{
		{ann, "viewer", "order:7", true, nil},
		{ann, "viewer", "order:9", true, nil},
		{ann, "owner", "order:7", false, nil},
		{ann, "viewer", "order:8", false, nil},
		{map[string]any{"sub": "auth0|ann", "org_id": "org_b"}, "viewer", "order:8", false, nil},
		{ann, "viewer", "order:none", false, nil},
		{ann, "viewer", "order:public", true, nil},
		{map[string]any{"sub": "auth0|bob"}, "viewer", "order:7", false, nil},
		{map[string]any{"sub": "*"}, "viewer", "order:7", false, nil},
		{map[string]any{"sub": "order:7#viewer"}, "viewer", "order:7", false, nil},
		{map[string]any{"sub": strings.Repeat("x", 600)}, "viewer", "order:public", false, nil},
		{ann, "editor", "order:7", false, auth0grpc.ErrRuleMisconfigured},
		{ann, "viewer", "invoice:7", false, auth0grpc.ErrRuleMisconfigured},
		{ann, "viewer", "order:7:8", false, auth0grpc.ErrRuleMisconfigured},
	}
	for i, subject := range oddSubjects {
		tests = append(tests, test{map[string]any{"sub": subject}, "viewer", fmt.Sprint("order:odd", i), subject != "\xff", nil})
		tests = append(tests, test{ann, "viewer", fmt.Sprint("order:odd", i), false, nil})
	}
	for name, checker := range checkersOf(t, e) {
		for _, test := range tests {
			allowed, err := checker.CheckRelation(t.Context(), auth0grpc.RelationQuery{Token: tokenOf(test.claims), Relation: test.relation, Object: test.object})
			if allowed != test.allowed && test.claims["sub"] != "\xff" || !errors.Is(err, test.kind) || test.kind == nil && err != nil {
				t.Errorf("%s: %v %s %s = %t, %v; want %t, %v", name, test.claims, test.relation, test.object, allowed, err, test.allowed, test.kind)
			}
		}
		// The organization of the login counts where contextual tuples are sent.
		query := auth0grpc.RelationQuery{Token: tokenOf(map[string]any{"sub": "auth0|ann", "org_id": "org_a"}), Relation: "viewer", Object: "order:8"}
		if allowed, err := checker.CheckRelation(t.Context(), query); err != nil || allowed != (name != "AuthZEN") {
			t.Errorf("%s: organization: %t, %v", name, allowed, err)
		}
	}
}

// TestModel compares random tuples and calls with a brute force over the model.
func TestModel(t *testing.T) {
	e := newEngine(t)
	random := rand.New(rand.NewPCG(17, 17))
	users, organizations, orders := []string{"auth0|a", "auth0|b", "m@clients"}, []string{"org_a", "org_b"}, []string{"1", "2", "3", "4", "5", "6"}
	tuples := map[string]bool{}
	for _, order := range orders {
		for _, user := range users {
			for _, relation := range []string{"owner", "viewer"} {
				if random.IntN(4) == 0 {
					e.write(t, auth0grpcfga.User("user", user), relation, "order:"+order)
					tuples[user+" "+relation+" "+order] = true
				}
			}
		}
		for _, organization := range organizations {
			if random.IntN(3) == 0 {
				e.write(t, "organization:"+organization, "organization", "order:"+order)
				tuples[organization+" organization "+order] = true
			}
		}
	}
	want := func(user, organization, relation, order string) bool {
		owner := tuples[user+" owner "+order]
		if relation == "owner" {
			return owner
		}
		return owner || tuples[user+" viewer "+order] || tuples[organization+" organization "+order]
	}
	checkers := checkersOf(t, e)
	delete(checkers, "AuthZEN")
	calls, passed := 0, 0
	for _, user := range users {
		for _, organization := range append(organizations, "") {
			claims := map[string]any{"sub": user}
			if organization != "" {
				claims["org_id"] = organization
			}
			for _, relation := range []string{"owner", "viewer"} {
				for _, order := range orders {
					for name, checker := range checkers {
						got, err := checker.CheckRelation(t.Context(), auth0grpc.RelationQuery{Token: tokenOf(claims), Relation: relation, Object: "order:" + order})
						if err != nil || got != want(user, organization, relation, order) {
							t.Errorf("%s: %v %s %s = %t, %v", name, claims, relation, order, got, err)
						}
						calls++
						if got {
							passed++
						}
					}
				}
			}
		}
	}
	t.Logf("%d calls, %d passed", calls, passed)
	if passed == 0 || passed == calls {
		t.Error("the calls do not tell the tuples apart")
	}
}

// The engine is in a state in which it has no answer: that is neither yes nor no.
func TestEngineFailures(t *testing.T) {
	e := newEngine(t)
	otherStore := e.configs()
	for name, config := range otherStore {
		config.Store = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
		checker, err := auth0grpcfga.NewChecker(config)
		if err != nil {
			t.Fatal(err)
		}
		_, err = checker.CheckRelation(t.Context(), auth0grpc.RelationQuery{Token: tokenOf(nil), Relation: "viewer", Object: "order:7"})
		if !errors.Is(err, auth0grpc.ErrRuleMisconfigured) {
			t.Errorf("%s, unknown store: %v", name, err)
		}
	}
	for name, test := range map[string]struct {
		answer        http.HandlerFunc
		misconfigured bool
	}{
		"500": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, false},
		"401": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, false},
		"403": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, false},
		"429": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, false},
		"400": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }, true},
		"404": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, true},
		"204": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, false},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/allowed", http.StatusTemporaryRedirect)
		}, false},
		"empty":            {func(http.ResponseWriter, *http.Request) {}, false},
		"no decision":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }, false},
		"null":             {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"allowed":null,"decision":null}`) }, false},
		"text for boolean": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"allowed":"true","decision":"true"}`) }, false},
		"not JSON":         {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>`) }, false},
		"cut off":          {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"allowed":true,"decision":true`) }, false},
		"a megabyte": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"allowed":true,"decision":true}`+strings.Repeat(" ", 1<<20))
		}, false},
		"connection closed": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false},
	} {
		mux := http.NewServeMux()
		mux.HandleFunc("/allowed", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"allowed":true,"decision":true}`) })
		mux.HandleFunc("/", test.answer)
		httpServer := httptest.NewServer(mux)
		checker, err := auth0grpcfga.NewChecker(auth0grpcfga.Config{URL: httpServer.URL, Store: e.store, Model: e.model})
		if err != nil {
			t.Fatal(err)
		}
		authzen, err := auth0grpcfga.NewAuthZENChecker(auth0grpcfga.AuthZENConfig{URL: httpServer.URL})
		if err != nil {
			t.Fatal(err)
		}
		for kind, checker := range map[string]auth0grpc.RelationChecker{"HTTP": checker, "AuthZEN": authzen} {
			allowed, err := checker.CheckRelation(t.Context(), auth0grpc.RelationQuery{Token: tokenOf(nil), Relation: "viewer", Object: "order:7"})
			if allowed || err == nil || errors.Is(err, auth0grpc.ErrRuleMisconfigured) != test.misconfigured {
				t.Errorf("%s, %s: %t, %v", kind, name, allowed, err)
			}
		}
		httpServer.Close()
		allowed, err := checker.CheckRelation(t.Context(), auth0grpc.RelationQuery{Token: tokenOf(nil), Relation: "viewer", Object: "order:7"})
		if allowed || err == nil || errors.Is(err, auth0grpc.ErrRuleMisconfigured) {
			t.Errorf("%s, closed: %t, %v", name, allowed, err)
		}
	}
}

// The engine receives the credentials of the server, and nothing of the caller's call.
func TestCredentials(t *testing.T) {
	var outgoing metadata.MD
	conn := fakeConn(func(ctx context.Context) { outgoing, _ = metadata.FromOutgoingContext(ctx) })
	checker, err := auth0grpcfga.NewChecker(auth0grpcfga.Config{
		Conn: conn, Store: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Model: "01ARZ3NDEKTSV4RRFFQ69G5FAV",
		Token: func(context.Context) (string, error) { return "preshared", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer of-the-caller", "cookie", "x")
	_, _ = checker.CheckRelation(ctx, auth0grpc.RelationQuery{Token: tokenOf(nil), Relation: "viewer", Object: "order:7"})
	if got := outgoing.Get("authorization"); len(got) != 1 || got[0] != "Bearer preshared" || len(outgoing) != 1 {
		t.Errorf("metadata %v", outgoing)
	}
}

// A fakeConn is a connection that fails every call.
type fakeConn func(context.Context)

func (f fakeConn) Invoke(ctx context.Context, _ string, _, _ any, _ ...grpc.CallOption) error {
	f(ctx)
	return errors.ErrUnsupported
}

func (fakeConn) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.ErrUnsupported
}

func TestConfigFaults(t *testing.T) {
	for name, config := range map[string]auth0grpcfga.Config{
		"nothing":             {},
		"no store":            {URL: "https://fga.example", Model: id},
		"no model":            {URL: "https://fga.example", Store: id},
		"store in lower case": {URL: "https://fga.example", Store: strings.ToLower(id), Model: id},
		"no engine":           {Store: id, Model: id},
		"two engines":         {Store: id, Model: id, URL: "https://fga.example", Conn: fakeConn(nil)},
		"http":                {Store: id, Model: id, URL: "http://fga.example"},
		"no host":             {Store: id, Model: id, URL: "https://"},
		"password":            {Store: id, Model: id, URL: "https://a:b@fga.example"},
		"query":               {Store: id, Model: id, URL: "https://fga.example?x"},
		"type":                {Store: id, Model: id, URL: "https://fga.example", UserType: "user:x"},
		"half organization":   {Store: id, Model: id, URL: "https://fga.example", OrganizationType: "organization"},
		"half, the other":     {Store: id, Model: id, URL: "https://fga.example", OrganizationRelation: "member"},
		"relation":            {Store: id, Model: id, URL: "https://fga.example", OrganizationType: "organization", OrganizationRelation: "a:b"},
		"no URL":              {Store: id, Model: id, URL: "https://a:s3cret@fga.example/%zz"},
		"fragment":            {Store: id, Model: id, URL: "https://fga.example#x"},
		"other scheme":        {Store: id, Model: id, URL: "ftp://127.0.0.1"},
		"organization":        {Store: id, Model: id, URL: "https://fga.example", OrganizationType: "a b", OrganizationRelation: "member"},
	} {
		if _, err := auth0grpcfga.NewChecker(config); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, config := range map[string]auth0grpcfga.AuthZENConfig{
		"nothing": {}, "http": {URL: "http://pdp.example"}, "type": {URL: "https://pdp.example", SubjectType: "a:b"},
	} {
		if _, err := auth0grpcfga.NewAuthZENChecker(config); err == nil {
			t.Errorf("AuthZEN, %s: accepted", name)
		}
	}
}

// BenchmarkCheck measures a check in the engine, and a call that needs it. The difference
// is the cost of this library. Bound: 20 µs.
func BenchmarkCheck(b *testing.B) {
	e := newEngine(b)
	e.write(b, "user:auth0|ann", "viewer", "order:7")
	config := e.configs()["gRPC"]
	checker, err := auth0grpcfga.NewChecker(config)
	if err != nil {
		b.Fatal(err)
	}
	query := auth0grpc.RelationQuery{Token: tokenOf(map[string]any{"sub": "auth0|ann"}), Relation: "viewer", Object: "order:7"}

	b.ReportAllocs()
	for b.Loop() {

		if allowed, err := checker.CheckRelation(b.Context(), query); !allowed || err != nil {
			b.Fatal(allowed, err)
		}

	}
}

package auth0grpcclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// incoming is a handler's context whose call came with an authorization value.
func incoming(ctx context.Context, values ...string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.MD{"authorization": values})
}

func TestIncomingToken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		values []string
		want   string
	}{
		"bearer":     {[]string{"Bearer a.b.c"}, "a.b.c"},
		"any case":   {[]string{"bEARER a.b.c"}, "a.b.c"},
		"DPoP":       {[]string{"DPoP a.b.c"}, "a.b.c"},
		"none":       {nil, ""},
		"two":        {[]string{"Bearer a", "Bearer a"}, ""},
		"basic":      {[]string{"Basic a"}, ""},
		"two spaces": {[]string{"Bearer  a"}, ""},
		"no token":   {[]string{"Bearer "}, ""},
		"no space":   {[]string{"Bearer"}, ""},
		"a tilde":    {[]string{"Bearer a~b"}, "a~b"},
		"delete":     {[]string{"Bearer a\x7fb"}, ""},
		"not ASCII":  {[]string{"Bearer \u00e4"}, ""},
	} {
		got, err := auth0grpcclient.IncomingToken(incoming(t.Context(), test.values...))
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q, %v, want %q", name, got, err, test.want)
		}
		if err != nil {
			wantCode(t, err, codes.Unauthenticated)
		}
	}
	_, err := auth0grpcclient.IncomingToken(t.Context())
	wantCode(t, err, codes.Internal) // a handler that did not pass its context on
}

func TestOnBehalfOf(t *testing.T) {
	t.Parallel()
	for _, dpop := range []bool{false, true} {
		tenant, requests := newTenant(t)
		config := configFor(tenant)
		config.DPoP, config.Scopes = dpop, []string{"read:msg"}
		c, err := auth0grpcclient.NewOnBehalfOf(config, auth0grpcclient.IncomingToken)
		if err != nil {
			t.Fatal(err)
		}
		g := &gate{}
		client := connect(t, g, c)
		token := func(user string) string {
			return tenant.Token(map[string]any{"sub": user, "aud": "https://front.example.com"})
		}
		alice, bob := token("auth0|alice"), token("auth0|bob")
		for _, subject := range []string{alice, bob, alice} {
			for shape, call := range shapes {
				if got, err := call(incoming(t.Context(), "Bearer "+subject), client); got != "a" || err != nil {
					t.Errorf("%s: %q, %v", shape, got, err)
				}
			}
		}
		if requests.Load() != 2 {
			t.Errorf("%d token requests for two users, want 2", requests.Load())
		}
		var users []any
		for i, value := range g.values("authorization") {
			if strings.Contains(value, alice) || strings.Contains(value, bob) {
				t.Fatal("a caller's token was forwarded")
			}
			claims := claimsOf(t, value)
			users = append(users, claims["sub"])
			want := map[string]any{"sub": "service"}
			if diff := cmp.Diff(want, claims["act"]); diff != "" || claims["aud"] != auth0grpctest.Audience || claims["scope"] != "read:msg" {
				t.Errorf("call %d: %v", i, claims)
			}
			if (claims["cnf"] != nil) != dpop {
				t.Errorf("call %d: cnf %v with DPoP %v", i, claims["cnf"], dpop)
			}
		}
		var want []any
		for _, user := range []any{"auth0|alice", "auth0|bob", "auth0|alice"} {
			want = append(want, user, user, user, user)
		}
		if diff := cmp.Diff(want, users); diff != "" {
			t.Errorf("subjects (-want +got):\n%s", diff)
		}
	}
}

func TestOnBehalfOfNobody(t *testing.T) {
	t.Parallel()
	tenant, requests := newTenant(t)
	expired := tenant.Token(map[string]any{"exp": 1})
	for name, test := range map[string]struct {
		subject      func(context.Context) (string, error)
		wantCode     codes.Code
		wantText     string
		wantRequests int64
	}{
		"no incoming call": {auth0grpcclient.IncomingToken, codes.Internal, "no caller's token", 0},
		"no token":         {func(context.Context) (string, error) { return "", nil }, codes.Unauthenticated, "no caller's token", 0},
		"an error":         {func(context.Context) (string, error) { return "", errors.New("s3cret") }, codes.Internal, "no caller's token", 0},
		"a status":         {func(context.Context) (string, error) { return "", status.Error(codes.Unavailable, "later") }, codes.Unavailable, "later", 0},
		"an expired token": {func(context.Context) (string, error) { return expired, nil }, codes.Internal, "invalid_grant", 1},
	} {
		t.Run(name, func(t *testing.T) {
			before := requests.Load()
			c, err := auth0grpcclient.NewOnBehalfOf(configFor(tenant), test.subject)
			if err != nil {
				t.Fatal(err)
			}
			_, err = shapes["unary"](t.Context(), connect(t, &gate{}, c))
			wantCode(t, err, test.wantCode)
			if text := fmt.Sprint(err); !strings.Contains(text, test.wantText) || strings.Contains(text, "s3cret") {
				t.Errorf("text %q, want %q in it", text, test.wantText)
			}
			if n := requests.Load() - before; n != test.wantRequests {
				t.Errorf("%d token requests, want %d", n, test.wantRequests)
			}
		})
	}
}

// TestOnBehalfOfDuringAnOutage shows that a failure which passes is Unavailable for the
// user too. Only a refused exchange is Internal.
func TestOnBehalfOfDuringAnOutage(t *testing.T) {
	t.Parallel()
	for name, response := range map[string]func() (*http.Response, error){
		"a failure":            failing(503),
		"a limit":              failing(429),
		"no response":          unreachable,
		"an unusable response": func() (*http.Response, error) { return answer(200, "{}"), nil },
		"a panic":              func() (*http.Response, error) { panic("bug") },
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			f.set(response)
			c, err := auth0grpcclient.NewOnBehalfOf(offline(f.roundTrip), auth0grpcclient.IncomingToken)
			if err != nil {
				t.Fatal(err)
			}
			_, err = authorization(incoming(t.Context(), "Bearer user"), c)
			if status.Code(err) != codes.Unavailable || retryDelay(err) < time.Second {
				t.Errorf("%s: %v with RetryInfo %v, want Unavailable with a second at least", name, err, retryDelay(err))
			}
		})
	}
}

// TestReadyWithoutAToken covers both kinds of error: there is no subject token, and the
// token endpoint refuses.
func TestReadyWithoutAToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		config := offline(func(*http.Request) (*http.Response, error) {
			return answer(400, `{"error":"invalid_request"}`), nil
		})
		exchange, err := auth0grpcclient.NewOnBehalfOf(config, auth0grpcclient.IncomingToken)
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, exchange.Ready(t.Context()), codes.Internal)
		wantCode(t, exchange.Ready(incoming(t.Context())), codes.Unauthenticated)
		wantCode(t, newCredentials(t, config).Ready(t.Context()), codes.Unauthenticated)
	})
}

// TestOnBehalfOfRefused shows that a refused token is exchanged again, for its
// own subject alone.
func TestOnBehalfOfRefused(t *testing.T) {
	t.Parallel()
	tenant, requests := newTenant(t)
	distinctTokens(tenant.SetNow)
	c, err := auth0grpcclient.NewOnBehalfOf(configFor(tenant), auth0grpcclient.IncomingToken)
	if err != nil {
		t.Fatal(err)
	}
	client := connect(t, &gate{decide: refuseFirst("TOKEN_REVOKED")}, c)
	alice := incoming(t.Context(), "Bearer "+tenant.Token(map[string]any{"sub": "alice"}))
	bob := incoming(t.Context(), "Bearer "+tenant.Token(map[string]any{"sub": "bob"}))
	for _, ctx := range []context.Context{alice, bob, alice} {
		if got, err := shapes["unary"](ctx, client); got != "a" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if requests.Load() != 3 {
		t.Errorf("%d token requests, want 3", requests.Load())
	}
}

// TestOnBehalfOfIsBounded shows that the longest unused subject goes first.
func TestOnBehalfOfIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		exchanged := map[string]int{}
		config := offline(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			exchanged[r.FormValue("subject_token")]++
			return answer(200, `{"access_token":"t","token_type":"Bearer","expires_in":86400}`), nil
		})
		c, err := auth0grpcclient.NewOnBehalfOf(config, auth0grpcclient.IncomingToken)
		if err != nil {
			t.Fatal(err)
		}
		ask := func(subject string) {
			if _, err := authorization(incoming(t.Context(), "Bearer "+subject), c); err != nil {
				t.Fatal(err)
			}
		}
		ask("a")
		ask("b")
		for n := range 9_998 {
			ask(fmt.Sprint(n))
		}
		ask("a")
		ask("one-more") // and b is the longest unused
		ask("a")
		ask("b")
		if exchanged["a"] != 1 || exchanged["b"] != 2 {
			t.Errorf("a was exchanged %d times and b %d, want 1 and 2", exchanged["a"], exchanged["b"])
		}
	})
}

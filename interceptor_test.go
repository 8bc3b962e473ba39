package auth0grpc_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"log/slog"
	"net/http"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// Streaming methods count like unary ones (CVE-2022-39340), and so does every
// transport (CVE-2026-33190): each row runs in all shapes over all of them.
func TestAuthorization(t *testing.T) {
	f := newFixture(t)
	good, other := f.token(nil), f.token(claims{"sub": "auth0|leak"})
	tests := []struct {
		name  string
		value []string
		want  outcome
	}{
		{"no token", nil, missing},
		{"good", []string{"Bearer " + good}, passes},
		{"lower case", []string{"bearer " + good}, passes},
		{"upper case", []string{"BEARER " + good}, passes},
		{"two different (CVE-2025-64527)", []string{"Bearer " + good, "Bearer " + other}, badAuthorization},
		{"two equal", []string{"Bearer " + good, "Bearer " + good}, badAuthorization},
		{"good and Basic", []string{"Bearer " + good, "Basic bGVhazpsZWFr"}, badAuthorization},
		{"Basic", []string{"Basic bGVhazpsZWFr"}, badAuthorization},
		{"DPoP", []string{"DPoP " + good}, dpopNotAccepted},
		{"Token", []string{"Token " + good}, badAuthorization},
		{"no scheme", []string{good}, badAuthorization},
		{"empty", []string{""}, badAuthorization},
		{"scheme alone", []string{"Bearer"}, badAuthorization},
		{"two spaces", []string{"Bearer  " + good}, badAuthorization},
		{"space inside", []string{"Bearer " + good[:20] + " " + good[20:]}, badAuthorization},
		{"comma list", []string{"Bearer " + good + ", Bearer " + good}, badAuthorization},
		{"quoted", []string{`Bearer "` + good + `"`}, badAuthorization},
		{"opaque", []string{"Bearer leak-opaque-access-token"}, malformed},
		{"oversize", []string{"Bearer " + strings.Repeat("a", 16<<10+1)}, tokenTooLong},
		{"at the size", []string{"Bearer " + strings.Repeat("a", 16<<10)}, malformed},
		{"many dots (CVE-2025-30204)", []string{"Bearer " + strings.Repeat(".", 16<<10)}, malformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { f.everywhere(t, test.want, test.value...) })
	}
}

// A server can receive metadata that a well-behaved client refuses to send.
func TestAuthorizationOffTheWire(t *testing.T) {
	f := newFixture(t)
	good := f.token(nil)
	tests := []struct {
		name  string
		value string
		want  outcome
	}{
		{"good", "Bearer " + good, passes},
		{"trailing space", "Bearer " + good + " ", badAuthorization},
		{"trailing tab", "Bearer " + good + "\t", badAuthorization},
		{"trailing newline", "Bearer " + good + "\n", badAuthorization},
		{"newline inside", "Bearer " + good[:len(good)-8] + "\r\n" + good[len(good)-8:], badAuthorization},
		{"leading space", " Bearer " + good, badAuthorization},
		{"tab for the space", "Bearer\t" + good, badAuthorization},
		{"space alone", "Bearer ", badAuthorization},
		{"two spaces alone", "Bearer  ", badAuthorization},
		{"NUL", "Bearer " + good + "\x00", badAuthorization},
		{"not ASCII", "Bearer " + good + "é", badAuthorization},
		{"long s", "Bearer ſ" + good, badAuthorization},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			md := metadata.Pairs("authorization", test.value)
			for shape, r := range direct(t, t.Context(), f.guard, unaryCall, md) {
				t.Run(shape, func(t *testing.T) { test.want.check(t, r, test.value) })
			}
		})
	}
}

// direct calls both interceptors without a network, by shape.
func direct(t *testing.T, ctx context.Context, guard *auth0grpc.Interceptor, fullMethod string, md metadata.MD) map[string]result {
	t.Helper()
	run := func(call func(ctx context.Context) error) (r result) {
		defer func() {
			if p := recover(); p != nil {
				t.Fatalf("panic: %v", p)
			}
		}()
		transport := &transportStream{method: fullMethod}
		ctx := grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(ctx, md), transport)
		err := call(ctx)
		return result{header: transport.header, trailer: transport.trailer, err: err, outer: err}
	}
	return map[string]result{
		"unary": run(func(ctx context.Context) error {
			info := &grpc.UnaryServerInfo{FullMethod: fullMethod}
			_, err := guard.UnaryServerInterceptor()(ctx, nil, info, func(ctx context.Context, _ any) (any, error) {
				return nil, mark(ctx)
			})
			return err
		}),
		"stream": run(func(ctx context.Context) error {
			info := &grpc.StreamServerInfo{FullMethod: fullMethod}
			return guard.StreamServerInterceptor()(nil, serverStream{ctx: ctx}, info, func(_ any, stream grpc.ServerStream) error {
				return mark(stream.Context())
			})
		}),
		"AuthFunc": run(func(ctx context.Context) error {
			ctx, err := guard.AuthFunc()(ctx)
			if err != nil {
				return err
			}
			return mark(ctx)
		}),
	}
}

type transportStream struct {
	method          string
	header, trailer metadata.MD
}

func (s *transportStream) Method() string               { return s.method }
func (s *transportStream) SendHeader(metadata.MD) error { return nil }

func (s *transportStream) SetHeader(md metadata.MD) error {
	s.header = metadata.Join(s.header, md)
	return nil
}

func (s *transportStream) SetTrailer(md metadata.MD) error {
	s.trailer = metadata.Join(s.trailer, md)
	return nil
}

type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s serverStream) Context() context.Context       { return s.ctx }
func (s serverStream) SetHeader(md metadata.MD) error { return grpc.SetHeader(s.ctx, md) }
func (s serverStream) SetTrailer(md metadata.MD)      { _ = grpc.SetTrailer(s.ctx, md) }

func TestRules(t *testing.T) {
	const scope = "read:orders write:orders"
	permissions := claims{"permissions": []string{"read:orders", "admin"}}
	org, other := claims{"org_id": "org_a"}, claims{"org_id": "org_leak"}
	wrongOrganization, wrongClient := lacks("WRONG_ORGANIZATION", organizationText, ""), lacks("WRONG_CLIENT", clientText, "")
	tests := []struct {
		name string
		rule auth0grpc.Rule
		more claims
		want outcome
	}{
		{"all scopes", auth0grpc.Scopes("read:orders", "write:orders"), claims{"scope": scope}, passes},
		{"one of two scopes", auth0grpc.Scopes("read:orders", "write:orders"), nil, lacks("INSUFFICIENT_SCOPE", scopeText, scope)},
		{"prefix of a scope", auth0grpc.Scopes("read:order"), nil, lacks("INSUFFICIENT_SCOPE", scopeText, "read:order")},
		{"another case", auth0grpc.Scopes("Read:orders"), nil, lacks("INSUFFICIENT_SCOPE", scopeText, "Read:orders")},
		{"no scope claim", auth0grpc.Scopes("read:orders"), claims{"scope": nil}, lacksReadOrders},
		{"empty scope claim", auth0grpc.Scopes("read:orders"), claims{"scope": ""}, lacksReadOrders},
		{"tab between scopes", auth0grpc.Scopes("read:orders"), claims{"scope": "read:orders\twrite:orders"}, lacksReadOrders},
		{"permissions are not scopes", auth0grpc.Scopes("read:orders"), with(permissions, claims{"scope": nil}), lacksReadOrders},
		{"any scope", auth0grpc.AnyScope("write:orders", "read:orders"), nil, passes},
		{"no scope of any", auth0grpc.AnyScope("read:orders", "write:orders"), claims{"scope": "leak"}, lacks("INSUFFICIENT_SCOPE", scopeText, scope)},
		{"all permissions", auth0grpc.Permissions("read:orders", "admin"), permissions, passes},
		{"scopes are not permissions", auth0grpc.Permissions("read:orders"), nil, lacksNoNamedScope},
		{"one of two permissions", auth0grpc.Permissions("read:orders", "owner"), permissions, lacksNoNamedScope},
		{"any permission", auth0grpc.AnyPermission("owner", "admin"), permissions, passes},
		{"no permission of any", auth0grpc.AnyPermission("owner", "root"), permissions, lacksNoNamedScope},
		{"organization", auth0grpc.Organizations("org_b", "org_a"), org, passes},
		{"another organization", auth0grpc.Organizations("org_a"), other, wrongOrganization},
		{"no organization", auth0grpc.Organizations("org_a"), nil, wrongOrganization},
		{"client by azp", auth0grpc.Clients("other", auth0grpctest.ClientID), nil, passes},
		{"client by client_id", auth0grpc.Clients("machine"), claims{"azp": nil, "client_id": "machine"}, passes},
		{"another client", auth0grpc.Clients("machine"), nil, wrongClient},
		{"no client", auth0grpc.Clients("machine"), claims{"azp": nil}, wrongClient},
		{"authenticated", auth0grpc.Authenticated(), claims{"scope": nil}, passes},
		{"all of", auth0grpc.AllOf(auth0grpc.Scopes("read:orders"), auth0grpc.Organizations("org_a")), org, passes},
		{"all of but the second", auth0grpc.AllOf(auth0grpc.Scopes("read:orders"), auth0grpc.Organizations("org_a")), other, lacks("WRONG_ORGANIZATION", organizationText, "read:orders")},
		{"any of, the second", auth0grpc.AnyOf(auth0grpc.Scopes("admin"), auth0grpc.Organizations("org_a")), org, passes},
		{"none of any, the first tells", auth0grpc.AnyOf(auth0grpc.Scopes("admin"), auth0grpc.Organizations("org_a")), nil, lacks("INSUFFICIENT_SCOPE", scopeText, "admin")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, func(_ *fixture, config *auth0grpc.Config) {
				config.Methods[allMethods] = test.rule
			})
			token := f.token(test.more)
			f.everywhere(t, test.want, bearer(token)...)
			f.everywhere(t, missing)
		})
	}
}

func TestOptionalAndPublic(t *testing.T) {
	nobody := outcome{subject: "nobody"}
	tests := []struct {
		name  string
		rule  auth0grpc.Rule
		value func(f *fixture) []string
		want  outcome
	}{
		{"optional without a token", auth0grpc.Optional(), nil, nobody},
		{"optional with a good one", auth0grpc.Optional(), func(f *fixture) []string { return bearer(f.token(nil)) }, passes},
		{"optional with an expired one", auth0grpc.Optional(), func(f *fixture) []string { return bearer(f.token(claims{"exp": today})) }, expired},
		{"optional with garbage", auth0grpc.Optional(), func(*fixture) []string { return bearer("leak-garbage") }, malformed},
		{"optional with Basic", auth0grpc.Optional(), func(*fixture) []string { return []string{"Basic bGVhazpsZWFr"} }, badAuthorization},
		{"optional with an empty value", auth0grpc.Optional(), func(*fixture) []string { return []string{""} }, badAuthorization},
		{"public without a token", auth0grpc.Public(), nil, nobody},
		{"public with garbage", auth0grpc.Public(), func(*fixture) []string { return []string{"leak", "Bearer x"} }, nobody},
		{"public hides a good one", auth0grpc.Public(), func(f *fixture) []string { return bearer(f.token(nil)) }, nobody},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, func(_ *fixture, config *auth0grpc.Config) { config.Methods[allMethods] = test.rule })
			var value []string
			if test.value != nil {
				value = test.value(f)
			}
			f.everywhere(t, test.want, value...)
		})
	}
}

// A caller without a valid token does not learn which methods are listed.
func TestUnlistedMethod(t *testing.T) {
	f := newFixture(t, func(_ *fixture, config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{testgrpc.TestService_EmptyCall_FullMethodName: auth0grpc.Public()}
	})
	t.Run("good token", func(t *testing.T) { f.everywhere(t, unlisted, bearer(f.token(nil))...) })
	t.Run("no token", func(t *testing.T) { f.everywhere(t, missing) })
	t.Run("expired token", func(t *testing.T) { f.everywhere(t, expired, bearer(f.token(claims{"exp": today}))...) })
	t.Run("garbage", func(t *testing.T) { f.everywhere(t, malformed, bearer("leak-garbage")...) })
}

// Names that no canonical row covers are refused, even if the table has their canonical
// form (CVE-2026-33186).
func TestMalformedFullMethod(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.Methods = map[string]auth0grpc.Rule{allMethods: auth0grpc.Public(), unaryCall: auth0grpc.Public()}
	guard := mustNew(t, config)
	md := metadata.Pairs("authorization", "Bearer "+tenant.Token(nil))
	for _, fullMethod := range []string{
		"", "/", "//", "grpc.testing.TestService/UnaryCall", "/grpc.testing.TestService", "//grpc.testing.TestService/UnaryCall",
		"/grpc.testing.TestService//UnaryCall", "/grpc.testing.TestService/UnaryCall/", "/grpc.testing.testservice/UnaryCall",
		"/grpc.testing.TestService/x/UnaryCall", " /grpc.testing.TestService/UnaryCall",
	} {
		for shape, r := range direct(t, t.Context(), guard, fullMethod, md) {
			t.Run(shape+fullMethod, func(t *testing.T) { unlisted.check(t, r) })
		}
	}
}

// The test reads the registered methods from the server, so it covers a method that is
// added to the service.
func TestEveryRegisteredMethod(t *testing.T) {
	f := newFixture(t)
	methods := f.server.GetServiceInfo()["grpc.testing.TestService"].Methods
	if len(methods) != len(testgrpc.TestService_ServiceDesc.Methods)+len(testgrpc.TestService_ServiceDesc.Streams) {
		t.Fatalf("%d methods", len(methods))
	}
	good, wrong := f.token(nil), f.token(claims{"scope": "write:orders"})
	for _, info := range methods {
		m := method{
			"/grpc.testing.TestService/" + info.Name,
			grpc.StreamDesc{ClientStreams: info.IsClientStream, ServerStreams: info.IsServerStream},
		}
		for transport := range f.conns {
			t.Run(transport+m.name, func(t *testing.T) {
				missing.check(t, f.call(t.Context(), transport, m))
				lacksReadOrders.check(t, f.call(t.Context(), transport, m, bearer(wrong)...), wrong)
				passes.check(t, f.call(t.Context(), transport, m, bearer(good)...))
			})
		}
	}
}

// A cached verdict must not outlive the rule, nor pass from one method to
// another (CVE-2021-32701): one token, three rules.
func TestOneTokenManyRules(t *testing.T) {
	f := newFixture(t, func(_ *fixture, config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{
			allMethods:     auth0grpc.Authenticated(),
			unaryCall:      auth0grpc.Scopes("read:orders"),
			shapes[1].name: auth0grpc.Scopes("admin"),
		}
	})
	token := f.token(nil)
	for range 2 {
		passes.check(t, f.call(t.Context(), "tcp", shapes[0], bearer(token)...))
		lacks("INSUFFICIENT_SCOPE", scopeText, "admin").check(t, f.call(t.Context(), "tcp", shapes[1], bearer(token)...), token)
		passes.check(t, f.call(t.Context(), "tcp", shapes[2], bearer(token)...))
	}
}

func TestKeysUnavailable(t *testing.T) {
	f := newFixture(t)
	f.tenant.SetDown(true)
	token := f.token(nil)
	f.everywhere(t, unavailable, bearer(token)...)
	if err := f.guard.Ready(t.Context()); !errors.Is(err, auth0grpc.ErrKeysUnavailable) || !strings.Contains(err.Error(), f.tenant.Issuer()) {
		t.Errorf("Ready = %v, want ErrKeysUnavailable and the issuer's name", err)
	}
	f.tenant.SetDown(false)
	if err := f.guard.Ready(t.Context()); err != nil {
		t.Fatalf("Ready after the outage: %v", err)
	}
	f.everywhere(t, passes, bearer(token)...)
	f.tenant.SetDown(true)
	t.Run("keys outlive an outage", func(t *testing.T) { f.everywhere(t, passes, bearer(f.token(nil))...) })
}

// roundTrip is an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A caller that leaves gets its own code, and no verdict on its token.
func TestCallerLeaves(t *testing.T) {
	tenant, now := newTenant(t)
	ended, end := context.WithCancel(t.Context())
	end()
	late, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	for _, test := range []struct {
		name string
		ctx  context.Context
		kind error
		code codes.Code
	}{
		{"cancelled", ended, context.Canceled, codes.Canceled},
		{"deadline", late, context.DeadlineExceeded, codes.DeadlineExceeded},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := configFor(tenant, now)
			config.HTTPClient = &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
				<-t.Context().Done() // until the test is over
				return nil, t.Context().Err()
			})}
			md := metadata.Pairs("authorization", "Bearer "+tenant.Token(nil))
			for shape, r := range direct(t, test.ctx, mustNew(t, config), unaryCall, md) {
				t.Run(shape, func(t *testing.T) {
					if status.Code(r.err) != test.code || !errors.Is(r.err, test.kind) {
						t.Errorf("%v, want %v", r.err, test.code)
					}
					if reason, ok := auth0grpc.ReasonFromError(r.err); ok || r.header != nil || r.trailer != nil {
						t.Errorf("reason %q, header %v, trailer %v: want none", reason, r.header, r.trailer)
					}
					for _, sentinel := range sentinels {
						if errors.Is(r.err, sentinel) {
							t.Errorf("%v is a %v", r.err, sentinel)
						}
					}
				})
			}
		})
	}
}

// Every panic in verification becomes a refusal and never a crash (CVE-2024-28122).
func TestPanicIsRefusal(t *testing.T) {
	tenant, now := newTenant(t)
	token := tenant.Token(nil)
	md := metadata.Pairs("authorization", "Bearer "+token)
	for _, test := range []struct {
		name   string
		change func(*auth0grpc.Config)
		want   outcome
	}{
		{"clock", func(c *auth0grpc.Config) { c.Now = func() time.Time { panic("leak") } }, brokenOff},
		{"transport", func(c *auth0grpc.Config) {
			c.HTTPClient = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { panic("leak") })}
		}, unavailable},
		{"transport leaves its goroutine", func(c *auth0grpc.Config) {
			c.HTTPClient = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				runtime.Goexit()
				return nil, nil
			})}
		}, unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := configFor(tenant, now)
			test.change(&config)
			for shape, r := range direct(t, t.Context(), mustNew(t, config), unaryCall, md) {
				t.Run(shape, func(t *testing.T) { test.want.check(t, r, token) })
			}
		})
	}
}

// The zero Interceptor was not made by New, so it has no table and refuses every call
// (CVE-2024-51744: there is one verdict, and nothing is no permission).
func TestZeroInterceptor(t *testing.T) {
	var guard auth0grpc.Interceptor
	for shape, r := range direct(t, t.Context(), &guard, unaryCall, nil) {
		t.Run(shape, func(t *testing.T) { unlisted.check(t, r) })
	}
	if err := guard.Ready(t.Context()); !errors.Is(err, auth0grpc.ErrKeysUnavailable) {
		t.Errorf("Ready = %v, want ErrKeysUnavailable", err)
	}
	if err := guard.CheckServices(nil); !errors.Is(err, auth0grpc.ErrUnlistedMethod) {
		t.Errorf("CheckServices = %v, want ErrUnlistedMethod", err)
	}
	if guard.String() != "" || guard.RequiredScopes() != nil {
		t.Errorf("String = %q, RequiredScopes = %q, want none", guard.String(), guard.RequiredScopes())
	}
}

// Every exported method of the zero Interceptor returns, and none makes it let a
// call pass. The methods are listed by reflection, so a new one is called as well.
func TestZeroInterceptorMethods(t *testing.T) {
	guard := new(auth0grpc.Interceptor)
	ended, cancel := context.WithCancel(t.Context())
	cancel() // a method that waits for its context has to return
	rules := map[string]auth0grpc.Rule{allMethods: auth0grpc.Public()}
	arguments := map[reflect.Type]any{
		reflect.TypeFor[context.Context]():           t.Context(),
		reflect.TypeFor[map[string]auth0grpc.Rule](): rules,
		reflect.TypeFor[auth0grpc.Revocation]():      auth0grpc.Revocation{Subject: "auth0|1"},
	}
	ours := methodsOfTests(t)
	value := reflect.ValueOf(guard)
	for n := range value.NumMethod() {
		name, method := value.Type().Method(n).Name, value.Method(n)
		if ours[name] {
			continue
		}
		call := func(how string, valueOf func(reflect.Type) reflect.Value) {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s, %s, panics: %v", name, how, p)
				}
			}()
			var in []reflect.Value
			for k := range method.Type().NumIn() {
				if method.Type().IsVariadic() && k == method.Type().NumIn()-1 {
					break
				}
				in = append(in, valueOf(method.Type().In(k)))
			}
			results := method.Call(in)
			if len(results) == 0 {
				return
			}
			// Of methods that change or follow something, success would be a lie.
			err, isError := results[len(results)-1].Interface().(error)
			if results[len(results)-1].Type() == reflect.TypeFor[error]() && (!isError || err == nil) {
				t.Errorf("%s, %s, returns no error", name, how)
			}
		}
		call("zero arguments", func(in reflect.Type) reflect.Value {
			if in == reflect.TypeFor[context.Context]() {
				return reflect.ValueOf(ended)
			}
			return reflect.Zero(in)
		})
		call("sound arguments", func(in reflect.Type) reflect.Value {
			if argument, ok := arguments[in]; ok {
				return reflect.ValueOf(argument)
			}
			return reflect.Zero(in)
		})
	}
	for shape, r := range direct(t, t.Context(), guard, unaryCall, metadata.Pairs("authorization", "Bearer x")) {
		t.Run(shape, func(t *testing.T) { unlisted.check(t, r) })
	}
	if _, err := guard.AuthFunc()(t.Context()); status.Code(err) != codes.PermissionDenied {
		t.Errorf("AuthFunc = %v", err)
	}
	if _, err := guard.TapHandle()(t.Context(), &tap.Info{FullMethodName: unaryCall}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("TapHandle = %v", err)
	}
}

// methodsOfTests returns the methods of Interceptor that test files declare.
func methodsOfTests(t *testing.T) map[string]bool {
	t.Helper()
	names, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	methods := map[string]bool{}
	for _, name := range names {
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range file.Decls {
			f, ok := declared.(*ast.FuncDecl)
			if !ok || f.Recv == nil {
				continue
			}
			if receiver, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok && fmt.Sprint(receiver.X) == "Interceptor" {
				methods[f.Name.Name] = true
			}
		}
	}
	return methods
}

// A handler sees only a token that the nearest Interceptor verified: a token that an
// outer one put into the context does not pass Optional, Public and report-only.
func TestNoTokenOfAnotherInterceptor(t *testing.T) {
	anyone := auth0grpc.Authenticated()
	for name, rule := range map[string]auth0grpc.Rule{
		"optional": auth0grpc.Optional(), "public": auth0grpc.Public(), "report-only": anyone.ReportOnly(),
	} {
		outer := newFixture(t, func(_ *fixture, config *auth0grpc.Config) { config.Methods[allMethods] = anyone })
		inner := newFixture(t, func(_ *fixture, config *auth0grpc.Config) {
			config.Logger = slog.New(slog.DiscardHandler)
			config.Methods[allMethods] = rule
		})
		// Between the two the token is taken out of the metadata, as a gateway does.
		strip := func(ctx context.Context) context.Context {
			md, _ := metadata.FromIncomingContext(ctx)
			md = md.Copy()
			md.Delete("authorization")
			return metadata.NewIncomingContext(ctx, md)
		}
		authFunc := func(ctx context.Context) (context.Context, error) {
			if _, ok := auth0grpc.TokenFromContext(ctx); !ok {
				t.Error("the outer Interceptor put no token into the context")
			}
			return inner.guard.AuthFunc()(strip(ctx))
		}
		servers := map[string]*grpc.Server{
			"interceptors": grpc.NewServer(append(outer.guard.ServerOptions(),
				grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
					return inner.guard.UnaryServerInterceptor()(strip(ctx), req, info, handler)
				}),
				grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
					return inner.guard.StreamServerInterceptor()(srv, serverStream{stream, strip(stream.Context())}, info, handler)
				}))...),
			"AuthFunc": grpc.NewServer(append(outer.guard.ServerOptions(),
				grpc.ChainUnaryInterceptor(auth.UnaryServerInterceptor(authFunc)),
				grpc.ChainStreamInterceptor(auth.StreamServerInterceptor(authFunc)))...),
		}
		for how, server := range servers {
			testgrpc.RegisterTestServiceServer(server, service{})
			outer.conns[how] = auth0grpctest.Connect(t, server, "")
			for _, m := range shapes {
				got := outer.call(t.Context(), how, m, bearer(outer.token(nil))...)
				if diff := cmp.Diff([]string{"nobody"}, got.trailer.Get("handled-for")); got.err != nil || diff != "" {
					t.Errorf("%s, %s, %s: %v, handled for (-want +got):\n%s", name, how, m.name, got.err, diff)
				}
			}
		}
	}
}

// New does no I/O, Ready does it once.
func TestReady(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	if n := tenant.KeyFetches() + tenant.DiscoveryFetches(); n != 0 {
		t.Errorf("New fetched %d times", n)
	}
	for range 3 {
		if err := guard.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := tenant.KeyFetches(); n != 1 {
		t.Errorf("%d fetches of keys, want 1", n)
	}
}

func TestReadyNamesEveryIssuer(t *testing.T) {
	up, now := newTenant(t)
	down, alsoDown := auth0grpctest.NewTenant(t), auth0grpctest.NewTenant(t)
	down.SetDown(true)
	alsoDown.SetDown(true)
	config := configFor(up, now)
	config.Issuers = []string{alsoDown.Issuer(), up.Issuer(), down.Issuer()}
	err := mustNew(t, config).Ready(t.Context())
	if !errors.Is(err, auth0grpc.ErrKeysUnavailable) {
		t.Fatalf("Ready = %v, want ErrKeysUnavailable", err)
	}
	for tenant, want := range map[*auth0grpctest.Tenant]bool{up: false, down: true, alsoDown: true} {
		if strings.Contains(err.Error(), tenant.Issuer()) != want {
			t.Errorf("Ready names %s: %t, want %t\n%v", tenant.Issuer(), !want, want, err)
		}
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 2 || !slices.IsSorted(lines) {
		t.Errorf("Ready = %q, want two sorted lines", lines)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	config.HTTPClient = &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
		<-t.Context().Done()
		return nil, t.Context().Err()
	})}
	if err := mustNew(t, config).Ready(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Ready = %v, want context.Canceled", err)
	}
}

// The commonest mistake is named: an issuer without the slash at its end, as in Auth0's
// discovery document.
func TestReadyNamesTheMissingSlash(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.Issuers = []string{strings.TrimSuffix(tenant.Issuer(), "/")}
	err := mustNew(t, config).Ready(t.Context())
	want := fmt.Sprintf("it names %q, configured is %q; the configured issuer lacks the slash at its end", tenant.Issuer(), config.Issuers[0])
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Ready = %v, want %s", err, want)
	}
}

// connect serves with the options and returns a client that sends the token.
func connect(t *testing.T, token string, options ...grpc.ServerOption) testgrpc.TestServiceClient {
	t.Helper()
	server := grpc.NewServer(options...)
	testgrpc.RegisterTestServiceServer(server, service{})
	return testgrpc.NewTestServiceClient(auth0grpctest.Connect(t, server, token))
}

func TestAuthFunc(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	for _, test := range []struct {
		name, token string
		want        codes.Code
	}{
		{"none", "", codes.Unauthenticated},
		{"wrong scope", tenant.Token(claims{"scope": "leak"}), codes.PermissionDenied},
		{"good", tenant.Token(claims{"scope": "read:orders"}), codes.OK},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := connect(t, test.token,
				grpc.ChainUnaryInterceptor(auth.UnaryServerInterceptor(guard.AuthFunc())),
				grpc.ChainStreamInterceptor(auth.StreamServerInterceptor(guard.AuthFunc())))
			var trailer metadata.MD
			if _, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.Trailer(&trailer)); status.Code(err) != test.want {
				t.Errorf("unary: %v, want %v", err, test.want)
			}
			if got := trailer.Get("handled-for"); test.want == codes.OK && !cmp.Equal(got, []string{auth0grpctest.Subject}) {
				t.Errorf("subject %q", got)
			}
			stream, err := client.FullDuplexCall(t.Context())
			if err == nil {
				stream.CloseSend()
				_, err = stream.Recv()
			}
			if status.Code(err) != test.want {
				t.Errorf("stream: %v, want %v", err, test.want)
			}
		})
	}
}

// A context of no call has no method, and so no row, not even a Public one.
func TestAuthFuncOutsideOfCall(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.Methods[allMethods] = auth0grpc.Public()
	guard := mustNew(t, config)
	if _, err := guard.AuthFunc()(t.Context()); !errors.Is(err, auth0grpc.ErrMissingToken) {
		t.Errorf("no token: %v, want ErrMissingToken", err)
	}
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+tenant.Token(nil)))
	if _, err := guard.AuthFunc()(ctx); !errors.Is(err, auth0grpc.ErrUnlistedMethod) {
		t.Errorf("good token: %v, want ErrUnlistedMethod", err)
	}
}

// The logging interceptor behind ours prints the caller, and no token (GO-2024-2978).
func TestLogFields(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	var lines sink
	text := lines.logger()
	logger := logging.LoggerFunc(func(ctx context.Context, level logging.Level, msg string, fields ...any) {
		text.Log(ctx, slog.Level(level), msg, fields...)
	})
	fields := logging.WithFieldsFromContext(auth0grpc.LogFields)
	token := tenant.Token(claims{"scope": "read:orders", "org_id": "org_a", "email": "leak@example.com"})
	options := append(guard.ServerOptions(),
		grpc.ChainUnaryInterceptor(logging.UnaryServerInterceptor(logger, fields, logging.WithLogOnEvents(logging.FinishCall))))
	if _, err := connect(t, token, options...).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"auth.subject=" + auth0grpctest.Subject, "auth.client_id=" + auth0grpctest.ClientID,
		"auth.issuer=" + tenant.Issuer(), "auth.organization_id=org_a",
	} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("no %s in %s", want, &lines)
		}
	}
	if strings.Contains(lines.String(), "leak") || strings.Contains(lines.String(), token) {
		t.Errorf("the log holds more than who called: %s", &lines)
	}
}

// An interceptor outside ours that wraps the error once more makes gRPC send the
// whole text, which is why that text is safe as well.
func TestOuterWrapIsSafe(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	wrap := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		response, err := handler(ctx, req)
		if err != nil {
			err = fmt.Errorf("orders: %w", err)
		}
		return response, err
	}
	options := append([]grpc.ServerOption{grpc.ChainUnaryInterceptor(wrap)}, guard.ServerOptions()...)
	for name, token := range map[string]string{
		"claims":   tenant.Token(claims{"org_id": []string{"leak"}}),
		"header":   tenant.Sign(claims{"crit": []string{"leak"}}, nil),
		"payload":  tenant.SignRaw(`{"alg":"RS256"}`, `{"leak":`),
		"scope":    tenant.Token(claims{"scope": "leak"}),
		"issuer":   tenant.Token(claims{"iss": "https://leak.example.com/"}),
		"audience": tenant.Token(claims{"aud": "https://leak.example.com"}),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connect(t, token, options...).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
			if code := status.Code(err); code != codes.Unauthenticated && code != codes.PermissionDenied {
				t.Errorf("code %v", code)
			}
			if _, ok := auth0grpc.ReasonFromError(err); !ok {
				t.Errorf("the reason is lost: %v", err)
			}
			checkSilence(t, result{err: err, outer: err}, []string{token})
		})
	}
}

// A client that hangs up while the keys are being fetched: over a real
// connection, the server's side ends with the caller's code as well.
func TestCallerHangsUp(t *testing.T) {
	asked, left := make(chan struct{}, 1), make(chan error, 1)
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.HTTPClient = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		asked <- struct{}{}
		<-t.Context().Done()
		return nil, t.Context().Err()
	})}
	outer := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		response, err := handler(ctx, req)
		left <- err
		return response, err
	}
	options := append([]grpc.ServerOption{grpc.ChainUnaryInterceptor(outer)}, mustNew(t, config).ServerOptions()...)
	client := connect(t, tenant.Token(nil), options...)
	ctx, hangUp := context.WithCancel(t.Context())
	go func() {
		<-asked
		hangUp()
	}()
	if _, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{}); status.Code(err) != codes.Canceled {
		t.Errorf("the client has %v, want Canceled", err)
	}
	if err := <-left; status.Code(err) != codes.Canceled || !errors.Is(err, context.Canceled) {
		t.Errorf("the server has %v, want Canceled", err)
	}
}

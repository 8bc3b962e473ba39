package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/internal/corpus"
)

// setRule gives the methods of the cells one rule. Nil removes their rows.
func (f *fixture) setRule(t *testing.T, rule *auth0grpc.Rule) {
	t.Helper()
	table := map[string]auth0grpc.Rule{auth0grpc.ReflectionService: auth0grpc.Authenticated()}
	if rule != nil {
		table[get], table[list], table[watch] = *rule, *rule, *rule
	}
	if err := f.guard.SetMethods(table); err != nil {
		t.Fatal(err)
	}
}

// check makes one call, and compares its answer with the expected reason and with the
// refusal that Check returns. The messages must be the same, the handler runs
// exactly if there is no reason, and one decision is made, on the right method.
func (f *fixture) check(t *testing.T, name string, c *cell, p presented, reason auth0grpc.Reason) {
	t.Helper()
	before, decisions := f.service.ran.Load(), f.decisions.Load()
	got := c.call(t, f, c, p)
	ran := f.service.ran.Load() - before
	if c.hidden { // no interceptor sees the request
		if got.status != notFound || ran > 0 {
			t.Errorf("%s at %v: %v, want %v; the handler ran %d times", name, c, got.status, notFound, ran)
		}
		return
	}
	gotReason, _ := auth0grpc.ReasonFromError(got.status.Err())
	if gotReason != reason {
		t.Errorf("%s at %v: %v with reason %q, want %q", name, c, got.status, gotReason, reason)
		return
	}
	if n := f.decisions.Load() - decisions; n != 1 {
		t.Errorf("%s at %v: %d decisions", name, c, n)
	}
	if decided := *f.decided.Load(); decided != c.method && strings.HasPrefix(decided, "/doors.v1.Orders/") {
		t.Errorf("%s at %v: the decision was on %s", name, c, decided)
	}
	if reason == "" {
		if want := map[bool]int64{false: 1, true: 0}[c.noHandler]; ran != want {
			t.Errorf("%s at %v: the handler ran %d times: %v", name, c, ran, got.status)
		}
		if admitted := got.status.Code() == codes.OK || c.noHandler && got.status.Code() == codes.Unimplemented; !admitted {
			t.Errorf("%s at %v: %v", name, c, got.status)
		}
		return
	}
	if ran != 0 || !auth0grpc.RefusedBeforeHandler(got.status.Err()) {
		t.Errorf("%s at %v: the handler ran %d times: %v", name, c, ran, got.status)
	}
	again := callCheck(t, f, c, p) // a refused call leaves no trace, so its second decision is the same
	if againReason, _ := auth0grpc.ReasonFromError(again.status.Err()); againReason != reason {
		t.Fatalf("%s at %v: Check returns %v", name, c, again.status)
	}
	if got.status.Code() != again.status.Code() || got.status.Message() != again.status.Message() {
		t.Errorf("%s at %v: %v, want %v", name, c, got.status, again.status)
	}
	if diff := cmp.Diff(again.challenges, got.challenges, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s at %v: challenges (-Check +got):\n%s", name, c, diff)
	}
	if (got.nonce == "") != (again.nonce == "") {
		t.Errorf("%s at %v: nonce %q, Check %q", name, c, got.nonce, again.nonce)
	}
}

// stride is 1 if each token is tried at every door.
var stride = 1

// The tokens by which other verifiers are compared have the same verdict and the same
// reason at every door, in calls of every shape.
func TestTokensAtEveryDoor(t *testing.T) {
	mint := corpus.NewMint(t)
	cases := mint.Cases(t)
	f := newFixture(t, auth0grpc.Config{
		Issuers: []string{mint.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: mint.HTTPClient(), Now: mint.Now,
	})
	rule := auth0grpc.Authenticated()
	f.setRule(t, &rule)
	all := cells()
	start := time.Now()
	for i, c := range cases {
		for j := i % stride; j < len(all); j += stride {
			cell := all[j]
			f.check(t, c.Name, cell, presented{authorization: []string{c.Value}}, auth0grpc.Reason(c.Reason))
		}
	}
	t.Logf("%d tokens at %d doors and shapes: %v", len(cases), len(all), time.Since(start))
}

// Doors that see messages evaluate the rules about them. The others refuse the call, and
// do not start with a table that has such rules.
func TestMessageRulesAtEveryDoor(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	config := auth0grpc.Config{Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient()}
	f := newFixture(t, config)
	rule := auth0grpc.Authenticated().Same("id", auth0grpc.ClaimSubject)
	table := methods()
	table[get], table[watch] = rule, rule
	if err := f.guard.SetMethods(table); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, c := range cells() {
		if c.method == list || c.door == "Check" || c.door == "CheckStream" { // the request has no id; the test shows no message
			continue
		}
		want := map[string]auth0grpc.Reason{"1": "", "2": auth0grpc.ReasonNotOwner}
		if strings.HasPrefix(c.door, "Connect v1") || strings.HasPrefix(c.door, "grpc-gateway") && !c.bearerOnly || c.door == "plain HTTP" || c.door == "AuthFunc" {
			want = map[string]auth0grpc.Reason{"1": auth0grpc.ReasonRuleMisconfigured, "2": auth0grpc.ReasonRuleMisconfigured}
		}
		for subject, want := range want {
			before := f.service.ran.Load()
			got := c.call(t, f, c, presented{authorization: []string{"Bearer " + tenant.Token(claims{"sub": subject})}})
			if reason, _ := auth0grpc.ReasonFromError(got.status.Err()); reason != want {
				t.Errorf("%v, order of %s: %v with reason %q, want %q", c, subject, got.status, reason, want)
			}
			refusedLate := c.method == watch && want == auth0grpc.ReasonNotOwner // the handler asked for the message
			if ran := f.service.ran.Load() > before; ran != (want == "" || refusedLate) {
				t.Errorf("%v, order of %s: the handler ran: %t", c, subject, ran)
			}
		}
		seen++
	}
	if seen < 20 {
		t.Errorf("%d doors and shapes", seen)
	}
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, "auth0grpchttp") {
			t.Errorf("newHandler accepts the table: %q", text)
		}
	}()
	config.Methods = table
	guard, err := auth0grpc.New(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = newHandler(guard, &f.service)
	t.Error(err)
}

package auth0grpcevents_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
)

// TestOptionalMembers covers the members that an event may lack, and the longest names.
func TestOptionalMembers(t *testing.T) {
	const a0tenant, context = `"a0tenant":"test-tenant",`, `,"context":{"tenant":{"id":"test-tenant"}}`
	blocked := envelope("user.updated", `{"user_id":"auth0|1","blocked":true}`)
	long := strings.Repeat("x", 1024)
	for _, test := range []struct {
		name, old, replacement string
		subject                string // default auth0|1
	}{
		{"none is missing", "", "", ""},
		{"the purpose is null", `"a0stream"`, `"a0purpose":null,"a0stream"`, ""},
		{"another purpose", `"a0stream"`, `"a0purpose":"production","a0stream"`, ""},
		{"the tenant inside alone", a0tenant, "", ""},
		{"the tenant outside is null", a0tenant, `"a0tenant":null,`, ""},
		{"the tenant outside alone", context, "", ""},
		{"the context is null", context, `,"context":null`, ""},
		{"the context has no tenant", context, `,"context":{}`, ""},
		{"the tenant inside is null", context, `,"context":{"tenant":null}`, ""},
		{"the tenant inside has no id", context, `,"context":{"tenant":{}}`, ""},
		{"the id of the tenant inside is null", context, `,"context":{"tenant":{"id":null}}`, ""},
		{"the longest name", "auth0|1", long, long},
		{"the longest name in escapes", "auth0|1", strings.Repeat(`\u0078`, 1024), long},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			if status := e.post(strings.Replace(blocked, test.old, test.replacement, 1)); status != http.StatusNoContent {
				t.Fatalf("status %d, want 204; log: %s", status, e.log)
			}
			if test.subject == "" {
				test.subject = "auth0|1"
			}
			if diff := cmp.Diff(revocation(auth0grpc.Revocation{Subject: test.subject}), e.feed.all()); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFaultyMembers covers members of another type that would decide about an event. The
// event revokes nothing, and its sender learns that it cannot be used.
func TestFaultyMembers(t *testing.T) {
	const a0tenant, context = `"a0tenant":"test-tenant"`, `"context":{"tenant":{"id":"test-tenant"}}`
	blocked := envelope("user.updated", `{"user_id":"auth0|1","blocked":true}`)
	replace := func(old, replacement string) string { return strings.Replace(blocked, old, replacement, 1) }
	for name, body := range map[string]string{
		"pairs in a list": `["specversion","1.0","type","user.deleted","id","evt_1","time","2026-03-01T11:59:58Z",` +
			`"a0tenant","test-tenant","data",{"object":{"user_id":"auth0|1"}}]`,
		"pairs in a list inside":    replace(`{"user_id":"auth0|1","blocked":true}`, `["user_id","auth0|1","blocked",true]`),
		"a list of a number":        `[1]`,
		"a name that is a number":   `{1:2}`,
		"a name without a value":    `{"specversion"}`,
		"a name without a colon":    `{"specversion" "1.0"}`,
		"the purpose is a number":   replace(`"a0stream"`, `"a0purpose":1,"a0stream"`),
		"the purpose is empty":      replace(`"a0stream"`, `"a0purpose":"","a0stream"`),
		"the tenant is a number":    replace(a0tenant, `"a0tenant":1`),
		"the tenant is empty":       replace(a0tenant, `"a0tenant":""`),
		"the context is a list":     replace(context, `"context":[]`),
		"the tenant inside is text": replace(context, `"context":{"tenant":"test-tenant"}`),
		"its id is a number":        replace(context, `"context":{"tenant":{"id":1}}`),
		"its id is empty":           replace(context, `"context":{"tenant":{"id":""}}`),
		"the time is 1970":          replace("2026-03-01T11:59:58.573Z", "1970-01-01T00:00:00Z"),
		"the metadata is not UTF-8": replace(`"blocked"`, "\"user_metadata\":\"\xff\",\"blocked\""),
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			if status := e.post(body); status != http.StatusBadRequest {
				t.Errorf("status %d, want 400", status)
			}
			if published := e.feed.all(); len(published) > 0 {
				t.Errorf("published %v", published)
			}
		})
	}
}

// TestIssuerOfRevocations shows that an event revokes the tokens of the configured issuer,
// and not of another issuer of the Interceptor.
func TestIssuerOfRevocations(t *testing.T) {
	const custom = "https://login.example.com/"
	for name, test := range map[string]struct {
		issuers     []string
		issuer      string
		wantIssuers string
	}{
		"the only issuer":   {[]string{issuer}, "", issuer},
		"the first of two":  {[]string{issuer, custom}, issuer, issuer},
		"the second of two": {[]string{issuer, custom}, custom, custom},
		"all of them":       {[]string{issuer, custom}, auth0grpc.AnyIssuer, auth0grpc.AnyIssuer},
	} {
		feed := newFeed()
		e := &endpoint{feed: feed}
		e.handler = auth0grpcevents.Webhook(newGuard(t, feed, test.issuers...), auth0grpcevents.Config{
			Issuer: test.issuer, Tenant: "test-tenant", Secrets: []string{secret}, Logger: new(syncBuffer).logger(),
		})
		if status := e.post(envelope("user.deleted", `{"user_id":"auth0|1"}`)); status != http.StatusNoContent {
			t.Errorf("%s: status %d, want 204", name, status)
		}
		if all := feed.all(); len(all) != 1 || all[0].Issuer != test.wantIssuers || all[0].Subject != "auth0|1" {
			t.Errorf("%s: published %+v, want one of %s", name, all, test.wantIssuers)
		}
	}
}

package auth0grpcclient_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
)

// A countedBody counts the bodies that are open.
type countedBody struct {
	io.Reader
	open *int
}

func (b countedBody) Close() error {
	*b.open--
	return nil
}

// TestOddResponses covers the first and last accepted statuses, the largest body, and
// error codes that are shown and hidden. The client closes every body.
func TestOddResponses(t *testing.T) {
	t.Parallel()
	const good = `{"access_token":"t","token_type":"Bearer","expires_in":3600}`
	failed := func(code string) string {
		return `{"error":"` + code + `","access_token":"t","token_type":"Bearer","expires_in":3600}`
	}
	for name, test := range map[string]struct {
		status int
		body   string
		ok     bool
		code   string
	}{
		"200":                     {200, good, true, ""},
		"199":                     {199, good, false, ""},
		"299":                     {299, good, true, ""},
		"300":                     {300, good, false, ""},
		"an error with 200":       {200, failed("access_denied"), false, "access_denied"},
		"an error with 400":       {400, failed("access_denied"), false, "access_denied"},
		"the longest code":        {400, failed(strings.Repeat("z", 64)), false, strings.Repeat("z", 64)},
		"a longer code":           {400, failed(strings.Repeat("z", 65)), false, ""},
		"a code with a bracket":   {400, failed("a{"), false, ""},
		"a code in capitals":      {400, failed("A"), false, ""},
		"the largest body":        {200, good + strings.Repeat(" ", 256<<10-len(good)), true, ""},
		"a body that is too long": {200, good + strings.Repeat(" ", 256<<10-len(good)+1), false, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			open := 0
			c := newCredentials(t, offline(func(*http.Request) (*http.Response, error) {
				open++
				response := answer(test.status, "")
				response.Body = countedBody{strings.NewReader(test.body), &open}
				return response, nil
			}))
			_, err := authorization(t.Context(), c)
			var failure *auth0grpcclient.TokenError
			if (err == nil) != test.ok || errors.As(err, &failure) == test.ok {
				t.Fatalf("%s: %v", name, err)
			}
			if failure != nil && failure.Code != test.code {
				t.Errorf("%s: the code %q, want %q", name, failure.Code, test.code)
			}
			if open != 0 {
				t.Errorf("%s: %d bodies are open", name, open)
			}
		})
	}
}

// TestBrokenBody shows that the client does not use a response that breaks off, also if
// its JSON is complete, and sends the request again.
func TestBrokenBody(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, body := range map[string]string{
		"at once":    "",
		"inside":     `{"access_token":"t","token_ty`,
		"at the end": `{"access_token":"t","token_type":"Bearer","expires_in":3600}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			f.set(func() (*http.Response, error) {
				response := answer(200, "")
				response.Body = io.NopCloser(io.MultiReader(strings.NewReader(body), iotest.ErrReader(broken)))
				return response, nil
			})
			_, err := authorization(t.Context(), newCredentials(t, offline(f.roundTrip)))
			wantCode(t, err, codes.Unavailable)
			if !errors.Is(err, broken) || f.count() != 4 {
				t.Errorf("%s: %v after %d requests, want the transport's error after 4", name, err, f.count())
			}
		})
	}
}

// TestTokenRequest covers the parameters of both grants. A parameter that is not
// configured is not sent.
func TestTokenRequest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edit    func(*auth0grpcclient.Config)
		subject string
		want    url.Values // beside client_id and audience
	}{
		"a secret": {want: url.Values{"grant_type": {"client_credentials"}, "client_secret": {"s3cret"}}},
		"mutual TLS": {
			edit: func(c *auth0grpcclient.Config) { c.ClientSecret, c.MutualTLS = "", true },
			want: url.Values{"grant_type": {"client_credentials"}},
		},
		"scopes and an organization": {
			edit: func(c *auth0grpcclient.Config) { c.Scopes, c.Organization = []string{"a", "b"}, "org_1" },
			want: url.Values{"grant_type": {"client_credentials"}, "client_secret": {"s3cret"}, "scope": {"a b"}, "organization": {"org_1"}},
		},
		"on behalf of a user": {
			subject: "user-token",
			want: url.Values{
				"grant_type":    {"urn:ietf:params:oauth:grant-type:token-exchange"},
				"client_secret": {"s3cret"}, "subject_token": {"user-token"},
				"subject_token_type":   {"urn:ietf:params:oauth:token-type:access_token"},
				"requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got url.Values
			var header http.Header
			config := offline(func(r *http.Request) (*http.Response, error) {
				header = r.Header
				err := r.ParseForm()
				got = r.PostForm
				return answer(200, `{"access_token":"t","token_type":"Bearer","expires_in":86400}`), err
			})
			if test.edit != nil {
				test.edit(&config)
			}
			c, err := auth0grpcclient.New(config)
			if test.subject != "" {
				c, err = auth0grpcclient.NewOnBehalfOf(config, auth0grpcclient.IncomingToken)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Ready(incoming(t.Context(), "Bearer "+test.subject)); err != nil {
				t.Fatal(err)
			}
			test.want.Set("client_id", "service")
			test.want.Set("audience", "https://api.example.com")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
			want := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"}}
			if diff := cmp.Diff(want, header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTextsOfFailures covers the parts of a text that may be missing.
func TestTextsOfFailures(t *testing.T) {
	t.Parallel()
	for want, test := range map[string]struct {
		code int
		body string
	}{
		"the token endpoint has failed (HTTP status 503)":                            {503, ""},
		"the token endpoint has failed (HTTP status 500, server_error)":              {500, `{"error":"server_error"}`},
		"the token endpoint limits the rate (HTTP status 429)":                       {429, ""},
		"the token endpoint refused (HTTP status 403, access_denied): no grant":      {403, `{"error":"access_denied","error_description":"no grant"}`},
		"the answer of the token endpoint cannot be used (HTTP status 200)":          {200, "<html>"},
		"the token endpoint gave a token without a lifetime (HTTP status 200)":       {200, `{"access_token":"t","token_type":"Bearer"}`},
		"the token endpoint gave a token that no header can carry (HTTP status 200)": {200, `{"token_type":"Bearer","expires_in":60}`},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			f.set(func() (*http.Response, error) { return answer(test.code, test.body), nil })
			err := newCredentials(t, offline(f.roundTrip)).Ready(t.Context())
			if err == nil || err.Error() != "auth0grpcclient: "+want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

package auth0grpcclient_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

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

package integration

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// fetch makes an HTTP request, with a bearer token unless that is "".
func (a *authority) fetch(t *testing.T, method, url, token string) (int, http.Header, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := a.httpClient().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(body)
}

// unsigned returns a token of an issuer that is good in all but its signature.
func unsigned(issuer string) string {
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	now := time.Now().Unix()
	return part(map[string]any{"alg": "RS256", "kid": "k"}) + "." +
		part(map[string]any{"iss": issuer, "sub": "s", "aud": tenant.Audience, "iat": now, "exp": now + 3600}) + ".AAAA"
}

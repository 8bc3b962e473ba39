package auth0grpcclient_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
)

// jwtUntil is a token, unsigned, with an exp claim.
func jwtUntil(exp any) string {
	payload, err := json.Marshal(map[string]any{"exp": exp})
	if err != nil {
		panic(err)
	}
	return "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".c2ln"
}

// TestLifetimes covers every form of expires_in: a number is used, and anything
// else makes the token's exp claim count.
func TestLifetimes(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	tests := []struct {
		name    string
		expires string        // the member; "" for none
		exp     time.Duration // of a JWT, from now; 0 for an opaque token
		want    time.Duration // 0: no token
	}{
		{name: "a number", expires: `3600`, want: time.Hour},
		{name: "a number beside an exp", expires: `3600`, exp: day, want: time.Hour},
		{name: "a fraction", expires: `3599.0`, want: 3599 * time.Second},
		{name: "a broken fraction", expires: `3599.9`, want: 3599 * time.Second},
		{name: "an exponent", expires: `3.6e3`, want: time.Hour},
		{name: "a string", expires: `"3600"`, want: time.Hour},
		{name: "a string with a fraction", expires: `"3600.5"`, want: time.Hour},
		{name: "huge", expires: `99999999999999999999`, want: 30 * day},
		{name: "larger than any float", expires: `1e999`, want: 30 * day},
		{name: "one second", expires: `1`, want: time.Second},
		{name: "infinite", expires: `"Infinity"`, want: 30 * day},

		{name: "missing", exp: time.Hour, want: time.Hour},
		{name: "null", expires: `null`, exp: time.Hour, want: time.Hour},
		{name: "zero", expires: `0`, exp: time.Hour, want: time.Hour},
		{name: "negative", expires: `-1`, exp: time.Hour, want: time.Hour},
		{name: "nanoseconds that overflow", expires: `-10000000000`, exp: time.Hour, want: time.Hour},
		{name: "less than one", expires: `0.5`, exp: time.Hour, want: time.Hour},
		{name: "empty", expires: `""`, exp: time.Hour, want: time.Hour},
		{name: "a word", expires: `"soon"`, exp: time.Hour, want: time.Hour},
		{name: "not a number", expires: `"NaN"`, exp: time.Hour, want: time.Hour},
		{name: "a list", expires: `[3600]`, exp: time.Hour, want: time.Hour},
		{name: "an object", expires: `{}`, exp: time.Hour, want: time.Hour},
		{name: "true", expires: `true`, exp: time.Hour, want: time.Hour},
		{name: "missing, exp far away", exp: 400 * day, want: 30 * day},

		{name: "missing, opaque"},
		{name: "null, opaque", expires: `null`},
		{name: "zero, opaque", expires: `0`},
		{name: "negative, opaque", expires: `-1`},
		{name: "nanoseconds that overflow, opaque", expires: `-10000000000`},
		{name: "below all", expires: `-1e999`},
		{name: "missing, exp has passed", exp: -time.Hour},
		{name: "missing, exp is now", exp: time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				token := "opaque"
				if test.exp != 0 {
					token = jwtUntil(float64(time.Now().Add(test.exp).UnixMilli()) / 1000)
				}
				body := `{"access_token":"` + token + `","token_type":"Bearer"`
				if test.expires != "" {
					body += `,"expires_in":` + test.expires
				}
				f.set(func() (*http.Response, error) { return answer(200, body+"}"), nil })
				c := newCredentials(t, offline(f.roundTrip))
				if test.want == 0 {
					// One request, and then a pause: not one for each call, and not
					// four in a row.
					for range 20 {
						_, err := authorization(t.Context(), c)
						wantCode(t, err, codes.Unavailable)
					}
					if f.count() != 1 {
						t.Errorf("%d requests for 20 calls, want 1", f.count())
					}
					return
				}
				for range 20 {
					want(t, c, token)
				}
				if f.count() != 1 {
					t.Errorf("%d requests for 20 calls, want 1", f.count())
				}
				// The client uses a token until 5 s before its end, or a tenth of a
				// short lifetime.
				f.set(failing(401))
				time.Sleep(test.want - min(test.want/10, 5*time.Second) - time.Second) // the bubble's clock: no real time passes
				want(t, c, token)
				time.Sleep(2 * time.Second) // the bubble's clock: no real time passes
				synctest.Wait()
				if got, err := authorization(t.Context(), c); err == nil {
					t.Errorf("%s is used after its end", got)
				}
			})
		})
	}
}

// TestExpClaims covers tokens with an unusable exp claim.
func TestExpClaims(t *testing.T) {
	t.Parallel()
	for name, token := range map[string]string{
		"a word":       jwtUntil("tomorrow"),
		"none":         "e30.e30.c2ln",
		"null":         jwtUntil(nil),
		"no base64":    "e30.!.c2ln",
		"no JSON":      "e30.eA.c2ln",
		"a bad tail":   strings.TrimSuffix(jwtUntil(int64(1<<40)), ".c2ln") + "!.c2ln",
		"two parts":    strings.TrimSuffix(jwtUntil(int64(1<<40)), ".c2ln"),
		"four parts":   jwtUntil(int64(1<<40)) + ".c2ln",
		"five parts":   "e30.e30.e30.e30.e30",
		"opaque":       "opaque",
		"out of range": jwtUntil(json.RawMessage("1e999")),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				f.set(func() (*http.Response, error) {
					return answer(200, `{"access_token":"`+token+`","token_type":"Bearer"}`), nil
				})
				_, err := authorization(t.Context(), newCredentials(t, offline(f.roundTrip)))
				wantCode(t, err, codes.Unavailable)
				var failure *auth0grpcclient.TokenError
				if !errors.As(err, &failure) || failure.HTTPStatus != 200 || f.count() != 1 {
					t.Errorf("%v after %d requests, want one whose answer is unusable", err, f.count())
				}
			})
		})
	}
}

// TestExpiredOnArrival is a token that was good when it was asked for, at an
// endpoint that is slow.
func TestExpiredOnArrival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: 8 * time.Second, life: 5}
		c := newCredentials(t, offline(f.roundTrip))
		for range 20 {
			_, err := authorization(t.Context(), c)
			wantCode(t, err, codes.Unavailable)
		}
		if f.count() != 1 {
			t.Errorf("%d requests for 20 calls, want 1", f.count())
		}
	})
}

// TestNoRepetitionAtOnce covers answers that will be the same a moment later.
func TestNoRepetitionAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		code int
		body string
		want int // requests of one fetch
	}{
		"no token":        {200, `{"token_type":"Bearer","expires_in":60}`, 1},
		"not JSON":        {200, `<html>`, 1},
		"empty":           {200, ``, 1},
		"too long":        {200, `"` + strings.Repeat("a", 1<<20) + `"`, 1},
		"a line break":    {200, `{"access_token":"t\nx","expires_in":60}`, 1},
		"an error":        {200, `{"error":"invalid_request"}`, 1},
		"no content":      {204, ``, 1},
		"bad request":     {400, `{"error":"invalid_request"}`, 1},
		"unauthorized":    {401, `{"error":"access_denied"}`, 1},
		"forbidden":       {403, `<html>`, 1},
		"not found":       {404, ``, 1},
		"a redirect":      {302, ``, 1},
		"a timeout":       {408, ``, 4},
		"a rate limit":    {429, `{"error":"too_many_requests"}`, 4},
		"a bad gateway":   {502, `<html>`, 4},
		"an error object": {500, `{"error":{"code":1}}`, 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				f.set(func() (*http.Response, error) { return answer(test.code, test.body), nil })
				c := newCredentials(t, offline(f.roundTrip))
				_, err := authorization(t.Context(), c)
				var failure *auth0grpcclient.TokenError
				if !errors.As(err, &failure) || failure.HTTPStatus != test.code {
					t.Errorf("%v, want a TokenError with the HTTP status %d", err, test.code)
				}
				_, _ = authorization(t.Context(), c)
				if f.count() != test.want {
					t.Errorf("%d requests, want %d", f.count(), test.want)
				}
			})
		})
	}
}

// TestStatedWaits covers the forms in which Auth0, and proxies in front of it, state
// when to retry.
func TestStatedWaits(t *testing.T) {
	t.Parallel()
	type row struct {
		name   string
		code   int
		header []string
		want   time.Duration // at least; 0: nothing was understood
	}
	rows := func() []row { // from the time of the bubble
		in := func(d time.Duration) time.Time { return time.Now().Add(d) }
		date := func(d time.Duration) string { return in(d).UTC().Format(http.TimeFormat) }
		unix := func(d time.Duration) string { return strconv.FormatInt(in(d).Unix(), 10) }
		const most = 5 * time.Minute
		return []row{
			{"seconds", 429, []string{"Retry-After", "100"}, 100 * time.Second},
			{"a date", 429, []string{"Retry-After", date(100 * time.Second)}, 100 * time.Second},
			{"reset", 429, []string{"X-RateLimit-Reset", unix(100 * time.Second)}, 100 * time.Second},
			{"reset in lower case", 429, []string{"x-ratelimit-reset", unix(100 * time.Second)}, 100 * time.Second},
			{"both, reset later", 429, []string{"Retry-After", "60", "X-RateLimit-Reset", unix(100 * time.Second)}, 100 * time.Second},
			{"both, reset earlier", 429, []string{"Retry-After", "100", "X-RateLimit-Reset", unix(60 * time.Second)}, 100 * time.Second},
			{"seconds with 503", 503, []string{"Retry-After", "100"}, 100 * time.Second},
			{"seconds with 403", 403, []string{"Retry-After", "100"}, 100 * time.Second},
			{"reset without 429", 503, []string{"X-RateLimit-Reset", unix(100 * time.Second)}, 0},
			{"long", 429, []string{"Retry-After", "86400"}, most},
			{"longer than 32 bits", 429, []string{"Retry-After", "99999999999"}, most},
			{"longer than 64 bits", 429, []string{"Retry-After", "99999999999999999999999"}, most},
			{"a far date", 429, []string{"Retry-After", date(1000 * time.Hour)}, most},
			{"a far reset", 429, []string{"X-RateLimit-Reset", "9223372036854775807"}, most},
			{"a past date", 429, []string{"Retry-After", date(-time.Hour)}, 0},
			{"a past reset", 429, []string{"X-RateLimit-Reset", unix(-time.Hour)}, 0},
			{"a word", 429, []string{"Retry-After", "soon", "X-RateLimit-Reset", "later"}, 0},
			// The endpoint's clock is an hour ahead of ours, or behind.
			{"a date by a fast clock", 429, []string{"Date", date(time.Hour), "Retry-After", date(time.Hour + 100*time.Second)}, 100 * time.Second},
			{"reset by a fast clock", 429, []string{"Date", date(time.Hour), "X-RateLimit-Reset", unix(time.Hour + 100*time.Second)}, 100 * time.Second},
			{"reset by a slow clock", 429, []string{"Date", date(-time.Hour), "X-RateLimit-Reset", unix(100*time.Second - time.Hour)}, 100 * time.Second},
			{"a reset beyond all", 429, []string{"X-RateLimit-Reset", "99999999999999999999999"}, most},
			{"a negative reset", 429, []string{"X-RateLimit-Reset", "-9223372036854775808"}, 0},
		}
	}
	for i, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test := rows()[i]
				f := &fake{}
				f.set(failing(test.code, test.header...))
				c := newCredentials(t, offline(f.roundTrip))
				_, err := authorization(t.Context(), c)
				before := f.count()
				if test.want > 0 && before != 1 {
					t.Errorf("%s: %d requests, want 1", test.name, before)
				}
				delay := retryDelay(err)
				if test.code == 429 && (delay < test.want || delay > test.want+2*time.Second) {
					t.Errorf("%s: RetryInfo %v, want %v", test.name, delay, test.want)
				}
				if test.want == 0 {
					return
				}
				time.Sleep(test.want - 2*time.Second) // the bubble's clock; dates have whole seconds
				_, _ = authorization(t.Context(), c)
				if f.count() != before {
					t.Errorf("%s: a request before it is time", test.name)
				}
				time.Sleep(4 * time.Second) // the bubble's clock: no real time passes
				_, _ = authorization(t.Context(), c)
				if f.count() == before {
					t.Errorf("%s: no request when it is time", test.name)
				}
			})
		})
	}
}

// TestDescription shows which part of an error_description is kept, and where.
func TestDescription(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 400)
	for name, test := range map[string]struct{ sent, want string }{
		"Auth0's":             {`Service not enabled within domain: https://api.example.com`, `Service not enabled within domain: https://api.example.com`},
		"quotes":              {`Client is not authorized to access "https://api.example.com".`, `Client is not authorized to access "https://api.example.com".`},
		"line breaks":         {"a\r\n\tb\x00c", "a b c"},
		"a terminal sequence": {"\x1b[31mred\u202e", "[31mred"},
		"empty":               {"", ""},
		"the secret":          {"wrong secret s3cret", ""},
		"a JWT":               {"bad token eyJhbGciOiJSUzI1NiJ9.e30.c2ln", ""},
		"long":                {long, strings.Repeat("ä", 148) + "..."},
		"the longest":         {strings.Repeat("a", 300), strings.Repeat("a", 300)},
		"very long":           {strings.Repeat("a", 100_000), strings.Repeat("a", 297) + "..."},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body, err := json.Marshal(map[string]string{"error": "access_denied", "error_description": test.sent})
				if err != nil {
					t.Fatal(err)
				}
				f := &fake{}
				f.set(func() (*http.Response, error) { return answer(403, string(body)), nil })
				_, err = authorization(t.Context(), newCredentials(t, offline(f.roundTrip)))
				var failure *auth0grpcclient.TokenError
				if !errors.As(err, &failure) || failure.Description != test.want || len(failure.Description) > 300 {
					t.Fatalf("%#v, want the description %q", failure, test.want)
				}
				if test.want != "" && !strings.HasSuffix(err.Error(), ": "+test.want) {
					t.Errorf("text %q, want the description at its end", err)
				}
				const message = "auth0grpcclient: the token endpoint refused (HTTP status 403, access_denied)"
				if got := status.Convert(err).Message(); got != message {
					t.Errorf("the status says %q, want %q", got, message)
				}
			})
		})
	}
}

// TestDescriptionWithoutSubject shows that an exchange leaves no token in a text.
func TestDescriptionWithoutSubject(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		config := offline(func(r *http.Request) (*http.Response, error) {
			return answer(400, fmt.Sprintf(`{"error":"invalid_grant","error_description":"bad %s"}`, r.FormValue("subject_token"))), nil
		})
		c, err := auth0grpcclient.NewOnBehalfOf(config, auth0grpcclient.IncomingToken)
		if err != nil {
			t.Fatal(err)
		}
		_, err = authorization(incoming(t.Context(), "Bearer opaque-user-token"), c)
		wantCode(t, err, codes.Internal)
		if err == nil || strings.Contains(err.Error(), "opaque-user-token") {
			t.Errorf("%v", err)
		}
	})
}

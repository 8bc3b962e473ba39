package auth0grpcclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
)

// A journal is a server of numbered messages, one each 100 ms, on the clock of a synctest
// bubble. It ends a stream with its token.
type journal struct {
	messages int           // after which it ends the stream regularly
	life     time.Duration // of tokens
	limit    time.Duration // of streams; 0: the token's end
	end      error         // ends each stream at once

	began   time.Time
	issued  map[string]time.Time // expiry by authorization
	opened  []string             // the authorizations of the streams
	expired int                  // streams that the journal ended
}

// fetch is the token endpoint.
func (j *journal) fetch(*http.Request) (*http.Response, error) {
	if j.issued == nil {
		j.issued = map[string]time.Time{}
	}
	name := fmt.Sprintf("t%d", len(j.issued)+1)
	j.issued["Bearer "+name] = time.Now().Add(j.life)
	return answer(200, fmt.Sprintf(`{"access_token":%q,"token_type":"Bearer","expires_in":%d}`, name, j.life/time.Second)), nil
}

// open opens a stream of the messages after last.
func (j *journal) open(c *auth0grpcclient.Credentials) func(context.Context, *int) (grpc.ServerStreamingClient[int], error) {
	j.began = time.Now()
	return func(ctx context.Context, last *int) (grpc.ServerStreamingClient[int], error) {
		value, err := authorization(ctx, c)
		if err != nil {
			return nil, err
		}
		j.opened = append(j.opened, value)
		end := j.issued[value]
		if limited := time.Now().Add(j.limit); j.limit > 0 && limited.Before(end) {
			end = limited
		}
		s := &journalStream{journal: j, ctx: ctx, end: end, ttl: int(time.Until(end) / time.Second)}
		if last != nil {
			s.next = *last + 1
		}
		return s, nil
	}
}

type journalStream struct {
	grpc.ClientStream
	journal *journal
	ctx     context.Context
	end     time.Time
	ttl     int
	next    int
}

func (s *journalStream) Header() (metadata.MD, error) {
	return metadata.Pairs("auth0grpc-stream-ttl", fmt.Sprint(s.ttl)), nil
}

func (s *journalStream) Recv() (*int, error) {
	if s.journal.end != nil {
		return nil, s.journal.end
	}
	if s.next == s.journal.messages {
		return nil, io.EOF
	}
	written := s.journal.began.Add(time.Duration(s.next+1) * 100 * time.Millisecond)
	select {
	case <-time.After(time.Until(written)):
	case <-time.After(time.Until(s.end)):
		s.journal.expired++
		return nil, end("TOKEN_EXPIRED")
	case <-s.ctx.Done():
		return nil, status.FromContextError(s.ctx.Err()).Err()
	}
	number := s.next
	s.next++
	return &number, nil
}

// wantAll returns a handler that wants each message once and in order, and a function that
// checks their number.
func wantAll(t *testing.T) (handle func(*int) error, check func(want int)) {
	t.Helper()
	seen := 0
	return func(number *int) error {
			if *number != seen {
				return fmt.Errorf("message %d comes after %d messages", *number, seen)
			}
			seen++
			return nil
		}, func(want int) {
			t.Helper()
			if seen != want {
				t.Errorf("%d messages, want %d", seen, want)
			}
		}
}

// Each stream has a token of its own, is opened before the one before ends, and resumes
// behind its last message.
func TestFollowRenewsWithAFreshToken(t *testing.T) {
	t.Parallel()
	for _, life := range []time.Duration{3 * time.Second, 30 * time.Second, 10 * time.Minute} {
		t.Run(life.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &journal{messages: int(5 * life / (100 * time.Millisecond)), life: life}
				c := newCredentials(t, offline(j.fetch))
				handle, check := wantAll(t)
				if err := auth0grpcclient.Follow(t.Context(), c, j.open(c), handle); err != nil {
					t.Fatal(err)
				}
				check(j.messages)
				distinct := slices.Compact(slices.Clone(j.opened))
				if len(distinct) != len(j.opened) || len(j.issued) != len(j.opened) || len(j.opened) > 9 {
					t.Errorf("%d tokens for the streams %v, want one each, and 9 at most", len(j.issued), j.opened)
				}
				if j.expired > 0 {
					t.Errorf("the server ended %d streams, want none", j.expired)
				}
			})
		})
	}
}

// A limit of the server's policy is far from the end of the token: no new one is needed.
func TestFollowKeepsATokenThatLasts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{messages: 36000, life: 24 * time.Hour, limit: 5 * time.Minute}
		c := newCredentials(t, offline(j.fetch))
		handle, check := wantAll(t)
		if err := auth0grpcclient.Follow(t.Context(), c, j.open(c), handle); err != nil {
			t.Fatal(err)
		}
		check(j.messages)
		if len(j.issued) != 1 || len(j.opened) != 14 || j.expired > 0 {
			t.Errorf("%d tokens, %d streams, %d ended by the server; want 1, 14, 0", len(j.issued), len(j.opened), j.expired)
		}
	})
}

// While the token endpoint is down, a stream goes on. It is renewed if the endpoint is
// back in time.
func TestFollowWhenTheTokenEndpointIsDown(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		back    time.Duration // when the endpoint recovers
		expired int
		code    codes.Code
	}{
		{577 * time.Second, 0, codes.OK},
		{time.Hour, 1, codes.Unavailable},
	} {
		t.Run(test.back.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &journal{messages: 7000, life: 10 * time.Minute}
				begin := time.Now()
				c := newCredentials(t, offline(func(r *http.Request) (*http.Response, error) {
					if since := time.Since(begin); since > time.Second && since < test.back {
						return nil, errors.New("down")
					}
					return j.fetch(r)
				}))
				handle, _ := wantAll(t)
				err := auth0grpcclient.Follow(t.Context(), c, j.open(c), handle)
				wantCode(t, err, test.code)
				if j.expired != test.expired {
					t.Errorf("the server ended %d streams, want %d", j.expired, test.expired)
				}
			})
		})
	}
}

// An endpoint that gives the same token again costs few requests, and the stream goes on
// to its end.
func TestFollowWithTheSameTokenAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{messages: 6500, life: 10 * time.Minute}
		requests := 0
		begin := time.Now()
		c := newCredentials(t, offline(func(r *http.Request) (*http.Response, error) {
			requests++
			if since := time.Since(begin); since > time.Second && since < 10*time.Minute {
				return answer(200, fmt.Sprintf(`{"access_token":"t1","token_type":"Bearer","expires_in":%d}`, 600-since/time.Second)), nil
			}
			return j.fetch(r)
		}))
		handle, check := wantAll(t)
		if err := auth0grpcclient.Follow(t.Context(), c, j.open(c), handle); err != nil {
			t.Fatal(err)
		}
		check(j.messages)
		if len(j.opened) != 2 || requests > 8 {
			t.Errorf("%d streams and %d requests, want 2, and 8 at most", len(j.opened), requests)
		}
	})
}

// A server that ends each stream at once is not called without end.
func TestFollowGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{life: time.Hour, end: end("TOKEN_EXPIRED")}
		c := newCredentials(t, offline(j.fetch))
		start := time.Now()
		err := auth0grpcclient.Follow(t.Context(), c, j.open(c), func(*int) error { return nil })
		wantCode(t, err, codes.Unauthenticated)
		if took := time.Since(start); len(j.opened) != 6 || took != 25*time.Second {
			t.Errorf("%d streams in %v, want 6 in 25s", len(j.opened), took)
		}
	})
}

func TestFollowReturns(t *testing.T) {
	t.Parallel()
	refused := errors.New("handle refuses")
	for _, test := range []struct {
		name   string
		end    error
		handle func(*int) error
		want   func(error) bool
	}{
		{"an error of handle", nil, func(*int) error { return refused }, func(err error) bool { return err == refused }},
		{"a revocation", end("TOKEN_REVOKED"), nil, func(err error) bool { return status.Code(err) == codes.Unauthenticated }},
		{"a refusal at the opening", refuse("TOKEN_EXPIRED"), nil, func(err error) bool { return status.Code(err) == codes.Unauthenticated }},
		{"a broken connection", status.Error(codes.Unavailable, "x"), nil, func(err error) bool { return status.Code(err) == codes.Unavailable }},
		{"a regular end", nil, nil, func(err error) bool { return err == nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &journal{messages: 3, life: time.Hour, end: test.end}
				c := newCredentials(t, offline(j.fetch))
				if test.handle == nil {
					test.handle = func(*int) error { return nil }
				}
				if err := auth0grpcclient.Follow(t.Context(), c, j.open(c), test.handle); !test.want(err) {
					t.Errorf("Follow returns %v", err)
				}
				if len(j.opened) != 1 {
					t.Errorf("%d streams, want 1", len(j.opened))
				}
			})
		})
	}
	t.Run("its context's end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			j := &journal{messages: 1e6, life: 10 * time.Second}
			c := newCredentials(t, offline(j.fetch))
			wantCode(t, auth0grpcclient.Follow(ctx, c, j.open(c), func(*int) error { return nil }), codes.DeadlineExceeded)
		})
	})
}

func TestStreamTTL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []string
		want   time.Duration
		ok     bool
	}{
		{nil, 0, false},
		{[]string{"0"}, 0, true},
		{[]string{"90"}, 90 * time.Second, true},
		{[]string{"90", "90"}, 0, false},
		{[]string{"-1"}, 0, false},
		{[]string{"1.5"}, 0, false},
		{[]string{"9223372036"}, 9223372036 * time.Second, true},
		{[]string{"9223372037"}, 0, false},
		{[]string{"99999999999999999999"}, 0, false},
	} {
		if got, ok := auth0grpcclient.StreamTTL(metadata.MD{"auth0grpc-stream-ttl": test.values}); got != test.want || ok != test.ok {
			t.Errorf("%q: %v, %v; want %v, %v", test.values, got, ok, test.want, test.ok)
		}
	}
}

package auth0grpctest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Deliver sends an event to a webhook, as an Auth0 event stream does: by POST, with this
// Authorization, such as "Bearer secret". It tries four times, with pauses of 1, 2 and 4
// seconds, until the answer is 2xx or 4xx. It returns the last status, or the error of
// the last attempt.
//
// client may be nil. Deliver panics if the log has no event with this id.
func (e *EventLog) Deliver(ctx context.Context, client *http.Client, url, authorization, id string) (status int, err error) {
	entries := e.snapshot().entries
	i := slices.IndexFunc(entries, func(entry logEntry) bool { return entry.id == id })
	if i < 0 {
		panic(fmt.Sprintf("auth0grpctest: Deliver: no event %q", id))
	}
	if client == nil {
		client = http.DefaultClient
	}
	for pause := time.Second; ; pause *= 2 {
		status, err = deliverOnce(ctx, client, url, authorization, entries[i].body)
		if err == nil && status < 500 || pause > 4*time.Second {
			return status, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return status, ctx.Err()
		}
	}
}

func deliverOnce(ctx context.Context, client *http.Client, url, authorization, body string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", authorization)
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

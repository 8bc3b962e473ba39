package auth0grpcfga

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/loopback"
)

// An httpCaller posts JSON to an engine.
type httpCaller struct {
	base   string // without a slash at the end
	client *http.Client
	token  func(context.Context) (string, error) // may be nil
	header http.Header                           // of each request
}

func newHTTPCaller(base string, client *http.Client, token func(context.Context) (string, error)) (*httpCaller, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Host == "":
		return nil, errors.New("is no URL") // the parser's text may quote a password
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("has more than scheme, host and path")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback.IsHost(u.Hostname())):
		return nil, errors.New("is not https")
	}
	copied := http.Client{}
	if client != nil {
		copied = *client
	}
	// A redirect could send the credentials elsewhere, and it is no answer.
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &httpCaller{base: strings.TrimRight(base, "/"), client: &copied, token: token}, nil
}

// maxAnswer bounds the body of an answer.
const maxAnswer = 64 << 10

// post sends a request and decodes the answer into result.
func (c *httpCaller) post(ctx context.Context, path string, body, result any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("auth0grpcfga: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("auth0grpcfga: %w", err)
	}
	for name, values := range c.header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/json")
	if c.token != nil {
		token, err := c.token(ctx)
		if err != nil {
			return fmt.Errorf("auth0grpcfga: token: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("auth0grpcfga: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("auth0grpcfga: %w", err)
	case response.StatusCode == http.StatusBadRequest || response.StatusCode == http.StatusNotFound:
		return fmt.Errorf("auth0grpcfga: %w: HTTP status %d", auth0grpc.ErrRuleMisconfigured, response.StatusCode)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("auth0grpcfga: HTTP status %d", response.StatusCode)
	case len(answer) > maxAnswer:
		return errors.New("auth0grpcfga: the answer is too long")
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return fmt.Errorf("auth0grpcfga: the answer is not JSON of the right form: %w", err)
	}
	return nil
}

func (c *Checker) checkHTTP(ctx context.Context, user string, query auth0grpc.RelationQuery, tuples []tuple) (bool, error) {
	body := map[string]any{
		"tuple_key":              tuple{user, query.Relation, query.Object},
		"authorization_model_id": c.config.Model,
		"consistency":            c.consistency().String(),
	}
	if len(tuples) > 0 {
		body["contextual_tuples"] = map[string]any{"tuple_keys": tuples}
	}
	var answer struct {
		Allowed *bool `json:"allowed"`
	}
	if err := c.http.post(ctx, "/stores/"+c.config.Store+"/check", body, &answer); err != nil {
		return false, err
	}
	if answer.Allowed == nil {
		return false, errors.New("auth0grpcfga: the answer has no decision")
	}
	return *answer.Allowed, nil
}

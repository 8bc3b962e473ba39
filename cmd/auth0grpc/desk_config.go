package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

// defaultDeskConfig configures the tenant without -config.
//
//go:embed desk_tenant.json
var defaultDeskConfig []byte

// A deskConfig configures the development tenant.
type deskConfig struct {
	port        int
	certificate string                   // file, in PEM
	lifetime    time.Duration            // of access tokens
	apis        map[string]time.Duration // lifetimes in place of the above, by audience
	clients     map[string]deskClient
	users       map[string]deskUser
}

// A deskClient is an application. Without a secret it is public.
type deskClient struct {
	secret string
	scopes map[string][]string // by audience
}

// A deskUser is a user. Its tokens name one audience each.
type deskUser struct {
	subject      string
	organization string
	scopes       map[string][]string // by audience
	permissions  map[string][]string // by audience
}

// readDeskConfig reads the file, or the default if the name is empty. Faults of the
// content start with the name of the file.
func readDeskConfig(name string) (*deskConfig, error) {
	if name == "" {
		return parseDeskConfig("desk_tenant.json", defaultDeskConfig)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return parseDeskConfig(name, data)
}

// parseDeskConfig reads a document and reports all faults at once: a syntax error with
// its line and column, any other fault with its path.
func parseDeskConfig(name string, data []byte) (*deskConfig, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var document json.RawMessage
	var syntax *json.SyntaxError
	if err := json.Unmarshal(data, &document); errors.As(err, &syntax) {
		before := data[:max(0, int(syntax.Offset)-1)]
		line, column := 1+bytes.Count(before, []byte("\n")), len(before)-bytes.LastIndexByte(before, '\n')
		return nil, fmt.Errorf("%s:%d:%d: %w", name, line, column, err)
	}
	c := &deskConfig{apis: map[string]time.Duration{}, clients: map[string]deskClient{}, users: map[string]deskUser{}}
	r := &deskReader{file: name}
	r.document(c, string(data))
	if err := errors.Join(r.errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// A deskReader collects the faults of a document in its order.
type deskReader struct {
	file string
	errs []error
}

func (r *deskReader) fault(path, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s: %s: "+format, append([]any{r.file, path}, args...)...))
}

func (r *deskReader) document(c *deskConfig, text string) {
	r.object("$", text, []string{"port", "certificate", "tokenLifetime"}, map[string]readMember{
		"port":          func(path, value string) { c.port = r.port(path, value) },
		"certificate":   func(path, value string) { c.certificate = r.text(path, value) },
		"tokenLifetime": func(path, value string) { c.lifetime = r.lifetime(path, value) },
		"apis": func(path, value string) {
			r.members(path, value, func(audience, path, value string) { c.apis[audience] = r.api(path, value) })
		},
		"clients": func(path, value string) {
			r.members(path, value, func(name, path, value string) { c.clients[name] = r.client(path, value) })
		},
		"users": func(path, value string) {
			r.members(path, value, func(name, path, value string) { c.users[name] = r.user(path, name, value) })
		},
	})
}

// api reads the lifetime of the tokens of one API.
func (r *deskReader) api(path, value string) time.Duration {
	var lifetime time.Duration
	r.object(path, value, []string{"tokenLifetime"}, map[string]readMember{
		"tokenLifetime": func(path, value string) { lifetime = r.lifetime(path, value) },
	})
	return lifetime
}

func (r *deskReader) client(path, value string) deskClient {
	var c deskClient
	r.object(path, value, nil, map[string]readMember{
		"secret": func(path, value string) { c.secret = r.text(path, value) },
		"scopes": func(path, value string) { c.scopes = r.byAudience(path, value) },
	})
	return c
}

func (r *deskReader) user(path, name, value string) deskUser {
	u := deskUser{subject: "auth0|" + name}
	r.object(path, value, nil, map[string]readMember{
		"subject": func(path, value string) { u.subject = r.text(path, value) },
		"organization": func(path, value string) {
			u.organization = r.text(path, value)
			if u.organization != "" && !strings.HasPrefix(u.organization, "org_") {
				r.fault(path, `want an organization id, "org_…"`)
			}
		},
		"scopes":      func(path, value string) { u.scopes = r.byAudience(path, value) },
		"permissions": func(path, value string) { u.permissions = r.byAudience(path, value) },
	})
	return u
}

// A readMember reads the value of one member.
type readMember func(path, value string)

// object reads an object whose members are known.
func (r *deskReader) object(path, value string, required []string, known map[string]readMember) {
	var seen []string
	r.members(path, value, func(name, memberPath, value string) {
		seen = append(seen, name)
		read, ok := known[name]
		if !ok {
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			r.fault(memberPath, "is unknown; want one of %s", strings.Join(names, ", "))
			return
		}
		read(memberPath, value)
	})
	for _, name := range required {
		if !slices.Contains(seen, name) {
			r.fault(path, "has no member %q", name)
		}
	}
}

// members calls read for each member of an object. A repeated name is a fault. No name
// may be empty.
func (r *deskReader) members(path, value string, read func(name, path, value string)) {
	seen := map[string]bool{}
	err := strictjson.Nested(value, func(name, value string) error {
		memberPath := path + deskStep(name)
		switch {
		case name == "":
			r.fault(memberPath, "the name is empty")
		case seen[name]:
			r.fault(memberPath, "is there twice")
		default:
			read(name, memberPath, value)
		}
		seen[name] = true
		return nil
	})
	if errors.Is(err, strictjson.ErrDepth) {
		r.fault(path, "is nested too deeply")
	} else if err != nil {
		r.fault(path, "want an object in UTF-8")
	}
}

// byAudience reads an object whose names are audiences and whose values are lists.
func (r *deskReader) byAudience(path, value string) map[string][]string {
	lists := map[string][]string{}
	r.members(path, value, func(audience, path, value string) {
		list, ok := strictjson.Strings(value)
		if !ok {
			r.fault(path, "want a list of strings")
		}
		for i, name := range list {
			if name == "" || strings.ContainsFunc(name, func(c rune) bool { return isNotTokenRune(c) || c == '"' || c == '\\' }) {
				r.fault(fmt.Sprintf("%s[%d]", path, i), "want a name of visible ASCII characters other than \" and \\")
			}
		}
		lists[audience] = list
	})
	return lists
}

func (r *deskReader) text(path, value string) string {
	text, ok := strictjson.String(value)
	if !ok || text == "" || strings.TrimSpace(text) != text {
		r.fault(path, "want a string, not empty, without spaces around it")
	}
	return text
}

func (r *deskReader) port(path, value string) int {
	port, err := strconv.Atoi(value)
	if err != nil || port < 1 || port > 65535 {
		r.fault(path, "want a number from 1 to 65535")
	}
	return port
}

// maxDeskLifetime is the longest lifetime that Auth0 allows.
const maxDeskLifetime = 30 * 24 * time.Hour

func (r *deskReader) lifetime(path, value string) time.Duration {
	text, _ := strictjson.String(value)
	lifetime, err := time.ParseDuration(text)
	if err != nil || lifetime < time.Second || lifetime > maxDeskLifetime {
		r.fault(path, `want a duration from "1s" to "720h"`)
	}
	return lifetime
}

var plainDeskName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// deskStep returns a name as a step of a path.
func deskStep(name string) string {
	if plainDeskName.MatchString(name) {
		return "." + name
	}
	return fmt.Sprintf("[%q]", name)
}

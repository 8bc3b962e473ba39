package auth0grpcevents

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/auth0grpc/auth0grpc"
)

const (
	// maxName bounds each name in an event: ids, types, tenants. Auth0's user ids have
	// at most 255 characters after the connection.
	maxName = 1024

	specVersion = "1.0" // of CloudEvents
)

// An event is the part of a CloudEvent that this package reads.
type event struct {
	version, kind, id, tenant string

	time   time.Time
	test   bool // Auth0 sent it to test the stream
	object members
}

// A malformed error explains why an event is malformed. Its text contains no part of
// the event.
type malformed string

func (m malformed) Error() string { return string(m) }

var errOtherTenant = errors.New("the event is of another tenant")

// members holds the members of a JSON object by their exact names.
//
// encoding/json alone would fold case and let the second of two equal names win.
// Package strictjson limits the depth of the whole document, and a user chooses the
// depth of the metadata in a profile: an event must not fail on that.
type members map[string]json.RawMessage

// parseMembers reads one JSON object.
func parseMembers(text []byte) (members, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, malformed("is not a JSON object")
	}
	object := members{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, malformed("is not a JSON object")
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, malformed("is not a JSON object")
		}
		if _, repeated := object[name.(string)]; repeated {
			return nil, malformed("has a member twice")
		}
		object[name.(string)] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, malformed("is not a JSON object")
	}
	if len(bytes.TrimSpace(text[decoder.InputOffset():])) > 0 {
		return nil, malformed("is followed by other text")
	}
	return object, nil
}

// object returns a member that is an object.
func (m members) object(name string) (members, error) {
	value, ok := m[name]
	if !ok {
		return nil, malformed("lacks " + name)
	}
	object, err := parseMembers(value)
	if err != nil {
		return nil, malformed(name + " " + err.Error())
	}
	return object, nil
}

// name returns a member that is an identifier: a string that is neither empty nor too
// long, and that no decoder had to repair.
func (m members) name(name string) (string, error) {
	value, ok := m[name]
	if !ok {
		return "", malformed("lacks " + name)
	}
	var text string
	if len(value) > 6*maxName+2 || json.Unmarshal(value, &text) != nil ||
		strings.TrimSpace(text) == "" || len(text) > maxName || strings.ContainsRune(text, utf8.RuneError) {
		return "", malformed(name + " is not a name")
	}
	return text, nil
}

// has reports whether there is a member other than null.
func (m members) has(name string) bool {
	value, ok := m[name]
	return ok && string(value) != "null"
}

// optionalName is name for a member that may be missing: it returns "" then.
func (m members) optionalName(name string) (string, error) {
	if !m.has(name) {
		return "", nil
	}
	return m.name(name)
}

// parseEvent reads the envelope of an event. It leaves the object to the mapping. An
// event of another version or type is returned without the rest.
func parseEvent(text []byte) (e *event, err error) {
	if !utf8.Valid(text) {
		return nil, malformed("is not UTF-8")
	}
	envelope, err := parseMembers(text)
	if err != nil {
		return nil, err
	}
	e = &event{}
	if e.version, err = envelope.name("specversion"); err != nil {
		return nil, err
	}
	if e.kind, err = envelope.name("type"); err != nil {
		return nil, err
	}
	if !e.known() {
		return e, nil
	}
	purpose, err := envelope.optionalName("a0purpose")
	if err != nil {
		return nil, err
	}
	e.test = purpose == "test"
	data, err := envelope.object("data")
	if err != nil {
		return nil, err
	}
	if e.tenant, err = tenantOf(envelope, data); err != nil {
		return nil, err
	}
	if e.id, err = envelope.name("id"); err != nil {
		return nil, err
	}
	if e.time, err = envelope.time(); err != nil {
		return nil, err
	}
	e.object, err = data.object("object")
	return e, err
}

// known reports whether this package knows the version and the type of the event.
func (e *event) known() bool { return e.version == specVersion && mappings[e.kind] != nil }

// tenantOf returns the tenant that an event names: in the envelope, in the context of
// its data, or in both. If they differ, the event is of another tenant than this one.
func tenantOf(envelope, data members) (string, error) {
	outer, err := envelope.optionalName("a0tenant")
	if err != nil {
		return "", err
	}
	inner := ""
	if data.has("context") {
		context, err := data.object("context")
		if err != nil {
			return "", err
		}
		if context.has("tenant") {
			tenant, err := context.object("tenant")
			if err != nil {
				return "", err
			}
			if inner, err = tenant.optionalName("id"); err != nil {
				return "", err
			}
		}
	}
	switch {
	case outer == "" && inner == "":
		return "", malformed("names no tenant")
	case outer != "" && inner != "" && outer != inner:
		return "", errOtherTenant
	case outer == "":
		return inner, nil
	}
	return outer, nil
}

// time returns the time of the event.
func (m members) time() (time.Time, error) {
	text, err := m.name("time")
	if err != nil {
		return time.Time{}, err
	}
	instant, err := time.Parse(time.RFC3339, text)
	if err != nil || instant.Unix() <= 0 {
		return time.Time{}, malformed("time is not a time of RFC 3339")
	}
	return instant, nil
}

// mappings has, for each type of event that ends tokens, the function that returns the
// tokens that end. It reports false if the event ends none. It sets neither Issuer nor
// IssuedBefore.
var mappings = map[string]func(object members) (r auth0grpc.Revocation, ends bool, err error){
	"user.updated":                     ofBlockedUser,
	"user.deleted":                     ofUser,
	"organization.member.deleted":      ofMember,
	"organization.member.role.deleted": ofMember,
	"organization.deleted":             ofOrganization,
}

// ofBlockedUser maps the update of a user. The state after the update decides:
// previous_object is optional, and a user that was blocked before has no newer token.
func ofBlockedUser(object members) (r auth0grpc.Revocation, ends bool, err error) {
	switch value, ok := object["blocked"]; {
	case !ok, string(value) == "false", string(value) == "null":
		return r, false, nil
	case string(value) != "true":
		return r, false, malformed("blocked is not a boolean")
	}
	return ofUser(object)
}

func ofUser(object members) (r auth0grpc.Revocation, ends bool, err error) {
	r.Subject, err = object.name("user_id")
	return r, err == nil, err
}

// ofMember maps an event about a member of an organization. Both names are required:
// either alone would end the tokens of others.
func ofMember(object members) (r auth0grpc.Revocation, ends bool, err error) {
	organization, err := object.object("organization")
	if err != nil {
		return r, false, err
	}
	user, err := object.object("user")
	if err != nil {
		return r, false, err
	}
	if r.OrganizationID, err = organization.name("id"); err != nil {
		return r, false, err
	}
	if r.Subject, err = user.name("user_id"); err != nil {
		return auth0grpc.Revocation{}, false, err
	}
	return r, true, nil
}

func ofOrganization(object members) (r auth0grpc.Revocation, ends bool, err error) {
	r.OrganizationID, err = object.name("id")
	return r, err == nil, err
}

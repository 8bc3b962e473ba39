package auth0grpcredis

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

// version is the name of an entry's one field. A later format gets a name of its
// own, so that an entry can carry both while a fleet is being upgraded.
const version = "v1"

// An entry is a revocation as JSON, with the names of the claims.
type entry struct {
	Issuer         string    `json:"iss,omitempty"`
	Subject        string    `json:"sub,omitempty"`
	ClientID       string    `json:"client_id,omitempty"`
	OrganizationID string    `json:"org_id,omitempty"`
	TokenID        string    `json:"jti,omitempty"`
	IssuedBefore   time.Time `json:"issued_before"` // RFC 3339, to the nanosecond
}

func encode(r auth0grpc.Revocation) ([]byte, error) {
	r.IssuedBefore = r.IssuedBefore.UTC()
	return json.Marshal(entry(r))
}

var errMalformed = errors.New("not a revocation of version 1")

// decode is strict: a member that it does not know may narrow the revocation
// down, and without it the revocation would hit more tokens than were meant. Its
// error is a fixed text, as that of encoding/json may quote the entry.
func decode(fields map[string]any) (auth0grpc.Revocation, error) {
	text, ok := fields[version].(string)
	if !ok {
		return auth0grpc.Revocation{}, errMalformed
	}
	var e entry
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&e) != nil || e.IssuedBefore.IsZero() {
		return auth0grpc.Revocation{}, errMalformed
	}
	if _, err := decoder.Token(); err != io.EOF {
		return auth0grpc.Revocation{}, errMalformed
	}
	return auth0grpc.Revocation(e), nil
}

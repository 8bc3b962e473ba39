package auth0grpcredis

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

// The names of the fields of a stream entry. A later format of a revocation gets
// a name of its own, so an entry can carry both while a fleet is being upgraded.
const (
	revocationField = "v1"
	withdrawnField  = "withdrawn" // the id of an entry that an operator takes back
)

const (
	// maxField bounds each string of a revocation, in bytes. No claim of a token
	// that auth0grpc accepts is longer.
	maxField = 16 << 10

	// maxAhead is how far an IssuedBefore may be ahead. It is twice the most that
	// auth0grpc.Config.ClockSkew allows: the time may come from an issuer whose
	// clock is ahead, at a publisher whose clock is behind.
	maxAhead = 10 * time.Minute
)

// entryJSON is a revocation as JSON, with the names of the claims. Times are in
// UTC, as in RFC 3339, to the nanosecond.
type entryJSON struct {
	Issuer         string    `json:"iss,omitempty"`
	Subject        string    `json:"sub,omitempty"`
	ClientID       string    `json:"client_id,omitempty"`
	OrganizationID string    `json:"org_id,omitempty"`
	TokenID        string    `json:"jti,omitempty"`
	IssuedBefore   time.Time `json:"issued_before"`
	// PublishedAt is the clock of the publisher, if IssuedBefore was read from it.
	PublishedAt *time.Time `json:"published_at,omitempty"`
}

// encode returns a revocation as the value of revocationField. A zero publishedAt
// means that IssuedBefore does not depend on the clock of this process.
func encode(r auth0grpc.Revocation, publishedAt time.Time) ([]byte, error) {
	e := entryJSON{
		Issuer: r.Issuer, Subject: r.Subject, ClientID: r.ClientID, OrganizationID: r.OrganizationID, TokenID: r.TokenID,
		IssuedBefore: r.IssuedBefore.UTC(),
	}
	if !publishedAt.IsZero() {
		publishedAt = publishedAt.UTC()
		e.PublishedAt = &publishedAt
	}
	return json.Marshal(e)
}

// validateText reports whether a text can be a claim: of at most maxField bytes, valid
// UTF-8, and without U+FFFD, which stands for bytes that were not. ContainsRune finds
// such bytes too.
func validateText(text string) bool {
	return len(text) <= maxField && !strings.ContainsRune(text, utf8.RuneError)
}

var errMalformed = errors.New("not a revocation of version 1")

// decode returns the revocation of an entry that the server added at the time
// added and that is read now. It is as strict as the parser of tokens. A member
// that it does not know, a null or an empty string may have been meant to narrow
// the revocation, which without it would cover more tokens. The error is a fixed
// text without any part of the entry.
func decode(value string, added, now time.Time) (auth0grpc.Revocation, error) {
	var r auth0grpc.Revocation
	var publishedAt time.Time
	err := strictjson.Object(value, func(name, value string) (err error) {
		switch name {
		case "iss":
			r.Issuer, err = parseText(value)
		case "sub":
			r.Subject, err = parseText(value)
		case "client_id":
			r.ClientID, err = parseText(value)
		case "org_id":
			r.OrganizationID, err = parseText(value)
		case "jti":
			r.TokenID, err = parseText(value)
		case "issued_before":
			r.IssuedBefore, err = parseTime(value)
		case "published_at":
			publishedAt, err = parseTime(value)
		default:
			err = errMalformed
		}
		return err
	})
	if err != nil || r.IssuedBefore.IsZero() {
		return auth0grpc.Revocation{}, errMalformed
	}
	r.IssuedBefore = correctClock(r.IssuedBefore, publishedAt, added, now)
	return r, nil
}

// correctClock corrects an IssuedBefore for the clock of its publisher. It relies
// on the clocks of the server, which added the entry, and of this process, which
// reads it now.
//
// An IssuedBefore that was read from the publisher's clock moves by the difference
// to the server's clock: forward if the publisher is behind, so that the tokens of
// the last minutes are covered. It moves back only from the future, as a server
// whose clock is behind must not weaken a revocation. Any other IssuedBefore that
// is in the future becomes the time of the entry. Without that, a publisher whose
// clock is a year ahead would refuse every token for a year.
func correctClock(issuedBefore, publishedAt, added, now time.Time) time.Time {
	if !publishedAt.IsZero() {
		moved := issuedBefore.Add(added.Sub(publishedAt))
		if moved.After(issuedBefore) || issuedBefore.After(now.Add(maxAhead)) {
			issuedBefore = moved
		}
	}
	if issuedBefore.After(added.Add(maxAhead)) && issuedBefore.After(now.Add(maxAhead)) {
		issuedBefore = added
	}
	return issuedBefore.UTC()
}

func parseText(value string) (string, error) {
	text, ok := strictjson.String(value)
	if !ok || text == "" || !validateText(text) {
		return "", errMalformed
	}
	return text, nil
}

// parseTime accepts the one form that encode writes.
func parseTime(value string) (time.Time, error) {
	text, ok := strictjson.String(value)
	if !ok {
		return time.Time{}, errMalformed
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.UTC().Format(time.RFC3339Nano) != text || t.IsZero() {
		return time.Time{}, errMalformed
	}
	return t.UTC(), nil
}

// An entryID is the id of a stream entry: the clock of the server in milliseconds
// when it added the entry, and a sequence number. Ids grow within a stream.
type entryID struct{ ms, seq uint64 }

// parseEntryID returns the zero id, which no entry has, for a text that is none.
func parseEntryID(text string) entryID {
	first, second, ok := strings.Cut(text, "-")
	ms, err := strconv.ParseUint(first, 10, 64)
	seq, err2 := strconv.ParseUint(second, 10, 64)
	if !ok || err != nil || err2 != nil {
		return entryID{}
	}
	return entryID{ms, seq}
}

func (id entryID) String() string { return fmt.Sprintf("%d-%d", id.ms, id.seq) }

// compare returns -1, 0 or 1, as cmp.Compare does.
func (id entryID) compare(other entryID) int {
	switch {
	case id == other:
		return 0
	case id.ms < other.ms || id.ms == other.ms && id.seq < other.seq:
		return -1
	}
	return 1
}

// time returns the time of the id, at most the year 9999.
func (id entryID) time() time.Time {
	const year10000 = 253402300800000
	return time.UnixMilli(int64(min(id.ms, year10000-1)))
}

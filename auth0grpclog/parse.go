package auth0grpclog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

// ErrNoDecision reports a line of a log that is not a record of [Config].Facts.
var ErrNoDecision = errors.New("auth0grpclog: the line is not the record of a decision")

// A VersionError reports a record of a version that [ParseLine] does not read. Use the
// package of the release that wrote the log.
type VersionError struct {
	Version int // of the record
}

// Error returns both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("auth0grpclog: the record is of version %d, want version %d", e.Version, factsVersion)
}

// ParseLine reads a line that [Config].Facts wrote by a slog.JSONHandler. The Decision has
// FullMethod, Row, Outcome, Reason, Policy and Facts. If the record is truncated, its
// Facts are marked as incomplete. The error is [ErrNoDecision] for a line of another
// program, a [*VersionError] for a record of another version, and any other error for a
// damaged record. No error contains a part of the line.
func ParseLine(line []byte) (auth0grpc.Decision, error) {
	line = bytes.TrimSpace(line)
	if !bytes.Contains(line, []byte(`"`+factsKey+`"`)) {
		if bytes.HasPrefix(line, []byte("{")) && !bytes.HasSuffix(line, []byte("}")) {
			return auth0grpc.Decision{}, errCut
		}
		return auth0grpc.Decision{}, ErrNoDecision
	}
	var record string
	err := strictjson.Object(string(line), func(name, value string) error {
		if name == factsKey {
			record = value
		}
		return nil
	})
	switch {
	case err != nil:
		return auth0grpc.Decision{}, fmt.Errorf("auth0grpclog: the record is damaged: %w", err)
	case record == "":
		return auth0grpc.Decision{}, ErrNoDecision
	}
	return parseRecord(record)
}

var (
	errCut     = errors.New("auth0grpclog: the line is cut off")
	errVersion = errors.New("auth0grpclog: the record has no version")
	errOutcome = errors.New("auth0grpclog: the record has no outcome of a call")

	errUnknownMember = errors.New("auth0grpclog: the record has an unknown member")
)

// parseRecord reads the members of a record.
func parseRecord(record string) (auth0grpc.Decision, error) {
	version := 0
	err := strictjson.Nested(record, func(name, value string) (err error) {
		if name == "version" {
			version, err = strconv.Atoi(value)
		}
		return err
	})
	switch {
	case err != nil || version < 1:
		return auth0grpc.Decision{}, errVersion
	case version != factsVersion:
		return auth0grpc.Decision{}, &VersionError{version}
	}
	d := auth0grpc.Decision{Facts: new(auth0grpc.Facts)}
	if err := strictjson.Nested(record, func(name, value string) error { return setMember(&d, name, value) }); err != nil {
		return auth0grpc.Decision{}, err
	}
	switch d.Outcome {
	case auth0grpc.OutcomeAllowed, auth0grpc.OutcomeRefused, auth0grpc.OutcomeReported:
	default:
		return auth0grpc.Decision{}, errOutcome
	}
	return d, nil
}

// setMember stores one member of a record.
func setMember(d *auth0grpc.Decision, name, value string) error {
	f, ok := d.Facts, true
	if text := textMember(d, name); text != nil {
		*text, ok = strictjson.String(value)
	} else if flag := flagMember(f, name); flag != nil {
		*flag, ok = value == "true", value == "true" || value == "false"
	} else if list := listMember(f, name); list != nil {
		*list, ok = strictjson.Strings(value)
	} else {
		switch name {
		case "version":
		case "report_only":
			text, _ := strictjson.String(value)
			mode := slices.Index(modeNames, text)
			f.ReportOnly, ok = auth0grpc.ReportOnlyMode(mode), mode >= 0
		case "code":
			code, err := strconv.ParseUint(value, 10, 8)
			f.Code, ok = codes.Code(code), err == nil && code <= uint64(codes.Unauthenticated)
		case "truncated":
			_, ok = strictjson.Strings(value)
			f.Incomplete = true
		default: // a stranger may have written it
			return errUnknownMember
		}
	}
	if !ok {
		return fmt.Errorf("auth0grpclog: the member %s of the record has a wrong value", name)
	}
	return nil
}

// textMember returns the place of a member with a text, or nil.
func textMember(d *auth0grpc.Decision, name string) *string {
	switch name {
	case "method":
		return &d.FullMethod
	case "row":
		return &d.Row
	case "outcome":
		return (*string)(&d.Outcome)
	case "reason":
		return (*string)(&d.Reason)
	case "policy":
		return &d.Policy
	case "refused":
		return (*string)(&d.Facts.Refused)
	case "client_id":
		return &d.Facts.ClientID
	case "organization_id":
		return &d.Facts.OrganizationID
	case "actor":
		return &d.Facts.Actor
	case "unmet_rule":
		return &d.Facts.UnmetRule
	}
	return nil
}

// flagMember returns the place of a member that is true or false, or nil.
func flagMember(f *auth0grpc.Facts, name string) *bool {
	switch name {
	case "verified":
		return &f.Verified
	case "dpop_scheme":
		return &f.DPoPScheme
	case "dpop":
		return &f.DPoP
	case "mtls":
		return &f.MTLS
	case "delegated":
		return &f.Delegated
	case "anonymous":
		return &f.Anonymous
	}
	return nil
}

// listMember returns the place of a member with a list of texts, or nil.
func listMember(f *auth0grpc.Facts, name string) *[]string {
	switch name {
	case "scopes":
		return &f.Scopes
	case "permissions":
		return &f.Permissions
	case "met_rules":
		return &f.MetRules
	}
	return nil
}

package auth0grpclog

import (
	"log/slog"
	"slices"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/grammar"
)

// factsKey is the name of the object with the facts in a record, and factsVersion is the
// version of its members. A change of their meaning needs a new version.
const (
	factsKey     = "auth0grpc.decision"
	factsVersion = 1
)

// The bounds of a record. Beyond them the record names the member in "truncated", and no
// decision follows from it.
const (
	maxFactText  = 256     // of a method and of each name, in bytes
	maxFactNames = 200     // of a list
	maxFactList  = 8 << 10 // of all names in a list, in bytes
)

// The names of the modes of report-only in a record.
var modeNames = []string{auth0grpc.ReportOnlyOff: "off", auth0grpc.ReportOnlyTable: "table", auth0grpc.ReportOnlyEverything: "everything"}

// A factsRecord collects the members of a record.
type factsRecord struct {
	attrs     []any
	truncated []string
}

// newFactsRecord returns the record of a decision with facts.
func newFactsRecord(d *auth0grpc.Decision) slog.Attr {
	f := d.Facts
	r := &factsRecord{attrs: make([]any, 0, 24)}
	r.add(slog.Int("version", factsVersion))
	r.text("method", d.FullMethod)
	r.text("row", d.Row)
	r.text("outcome", string(d.Outcome))
	r.text("reason", string(d.Reason))
	r.text("policy", d.Policy)
	if mode := int(f.ReportOnly); mode > 0 && mode < len(modeNames) {
		r.text("report_only", modeNames[mode])
	}
	r.text("refused", string(f.Refused))
	if f.Code != 0 {
		r.add(slog.Int("code", int(f.Code)))
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"verified", f.Verified}, {"dpop_scheme", f.DPoPScheme}, {"dpop", f.DPoP}, {"mtls", f.MTLS}, {"delegated", f.Delegated}, {"anonymous", f.Anonymous},
	} {
		if flag.set {
			r.add(slog.Bool(flag.name, true))
		}
	}
	r.text("client_id", f.ClientID)
	r.text("organization_id", f.OrganizationID)
	r.text("actor", f.Actor)
	// No rule can name a scope or a permission of other characters, so it has no effect.
	r.list("scopes", slices.DeleteFunc(slices.Clone(f.Scopes), isNoName))
	r.list("permissions", slices.DeleteFunc(slices.Clone(f.Permissions), isNoName))
	r.list("met_rules", f.MetRules)
	r.text("unmet_rule", f.UnmetRule)
	if f.Incomplete {
		r.truncated = append(r.truncated, "facts")
	}
	if r.truncated != nil {
		r.add(slog.Any("truncated", r.truncated))
	}
	return slog.Group(factsKey, r.attrs...)
}

func isNoName(name string) bool { return !grammar.IsScope(name) }

func (r *factsRecord) add(attr slog.Attr) { r.attrs = append(r.attrs, attr) }

// text adds a text that is not empty.
func (r *factsRecord) text(name, value string) {
	switch {
	case value == "":
	case len(value) > maxFactText || slices.ContainsFunc([]byte(value), isUnprintable):
		r.truncated = append(r.truncated, name)
	default:
		r.add(slog.String(name, value))
	}
}

func isUnprintable(c byte) bool { return c < ' ' || c > '~' }

// list adds the first names of a list that is not empty.
func (r *factsRecord) list(name string, values []string) {
	size, n := 0, 0
	for n < len(values) && n < maxFactNames && len(values[n]) <= maxFactText && size+len(values[n]) <= maxFactList &&
		!slices.ContainsFunc([]byte(values[n]), isUnprintable) {
		size += len(values[n])
		n++
	}
	if n < len(values) {
		r.truncated = append(r.truncated, name)
	}
	if n > 0 {
		r.add(slog.Any(name, values[:n]))
	}
}

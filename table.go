package auth0grpc

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"google.golang.org/grpc/codes"
)

// Rows for the services that gRPC itself brings, to be used as keys of
// Config.Methods like any other. None of them is in the table unless it is put
// there: what may answer without a token is for the reader of the table to see.
const (
	HealthService          = "/grpc.health.v1.Health/*"
	ReflectionService      = "/grpc.reflection.v1.ServerReflection/*"
	ReflectionAlphaService = "/grpc.reflection.v1alpha.ServerReflection/*" // reflection.Register adds this one as well
	ChannelzService        = "/grpc.channelz.v1.Channelz/*"
)

// A table is Config.Methods made ready for look-ups. It is immutable.
type table struct {
	methods  map[string]*row // by full method
	services map[string]*row // by "/pkg.Service/", for rows that end in *
}

// A row is one entry of the table.
type row struct {
	pattern string
	rule    Rule
	short   map[ruleKind]*refusal // what a token gets that falls short of the rule
}

// lookup returns the row for a full method, or nil. A row for the method itself
// beats one for its service. A name that is not canonical finds nothing, so
// "pkg.Service/Method" is refused and not mistaken for another
// (CVE-2026-33186).
func (t *table) lookup(fullMethod string) *row {
	if r, ok := t.methods[fullMethod]; ok {
		return r
	}
	if len(t.services) == 0 {
		return nil
	}
	method := strings.LastIndexByte(fullMethod, '/') + 1
	if !isName(fullMethod[method:]) {
		return nil
	}
	return t.services[fullMethod[:method]]
}

// isName reports whether a method is called so: what gRPC hands to a handler for
// unknown services is whatever a client wrote.
func isName(method string) bool {
	for i := range len(method) {
		c := method[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return method != ""
}

// rows returns all rows sorted by pattern.
func (t *table) rows() []*row {
	all := make([]*row, 0, len(t.methods)+len(t.services))
	for _, r := range t.methods {
		all = append(all, r)
	}
	for _, r := range t.services {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *row) int { return strings.Compare(a.pattern, b.pattern) })
	return all
}

// scopes returns every scope and permission that a row names, sorted, each once:
// in Auth0 both are permissions of the API.
func (t *table) scopes() []string {
	var all []string
	for _, r := range t.rows() {
		r.rule.walk(func(rule *Rule) {
			switch rule.kind {
			case kindScopes, kindAnyScope, kindPermissions, kindAnyPermission:
				all = append(all, rule.names...)
			}
		})
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// reportOnlyRows returns the patterns of the rows that are not enforced.
func (t *table) reportOnlyRows() []string {
	var all []string
	for _, r := range t.rows() {
		if r.rule.reportOnly {
			all = append(all, r.pattern)
		}
	}
	return all
}

func (t *table) String() string {
	var b strings.Builder
	columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range t.rows() {
		fmt.Fprintf(columns, "%s\t%s\n", r.pattern, r.rule)
	}
	columns.Flush() // a strings.Builder does not fail
	if scopes := t.scopes(); len(scopes) > 0 {
		fmt.Fprintf(&b, "\nscopes: %s\n", strings.Join(scopes, " "))
	}
	return b.String()
}

// pattern is a protobuf full name and a method of it, or * for all of them.
var pattern = regexp.MustCompile(`^/([A-Za-z_][A-Za-z0-9_]*\.)*[A-Za-z_][A-Za-z0-9_]*/([A-Za-z_][A-Za-z0-9_]*|\*)$`)

// newTable compiles methods and returns every fault in them.
func newTable(methods map[string]Rule) (*table, []*ConfigError) {
	t := &table{methods: make(map[string]*row, len(methods)), services: map[string]*row{}}
	made := refusals{}
	var faults []*ConfigError
	if len(methods) == 0 {
		faults = append(faults, &ConfigError{Field: "Methods", Reason: "is required: a method without a row is refused, so an empty table refuses every call"})
	}
	fault := func(key, value, reason string) {
		faults = append(faults, &ConfigError{Field: fmt.Sprintf("Methods[%q]", key), Value: value, Reason: reason})
	}
	for key, rule := range methods {
		if !pattern.MatchString(key) {
			fault(key, key, notCanonical(key, methods))
		}
		for _, reason := range rule.faults() {
			fault(key, rule.String(), reason)
		}
		r := &row{pattern: key, rule: rule, short: made.of(&rule)}
		if service, ok := strings.CutSuffix(key, "*"); ok {
			t.services[service] = r
		} else {
			t.methods[key] = r
		}
	}
	return t, faults
}

// notCanonical words the fault of a key, with what it was probably meant to be.
func notCanonical(key string, methods map[string]Rule) string {
	const form = `is not a full method; want "/pkg.Service/Method" or "/pkg.Service/*"`
	name := strings.Trim(strings.TrimSpace(key), "/")
	suggestion := "/" + name
	if !strings.Contains(name, "/") {
		if strings.HasSuffix(name, ".*") {
			return form + "; a wildcard covers the methods of one service: give each service of a package a row of its own"
		}
		suggestion += "/*"
		if parts := strings.Split(name, "."); len(parts) > 1 && startsUpper(parts[len(parts)-2]) { // pkg.Service.Method
			suggestion = "/" + strings.Join(parts[:len(parts)-1], ".") + "/" + parts[len(parts)-1]
		}
	}
	if !pattern.MatchString(suggestion) {
		return form
	}
	if _, ok := methods[suggestion]; ok {
		return fmt.Sprintf("%s; it is another spelling of %q, which has a row of its own", form, suggestion)
	}
	return fmt.Sprintf("%s; did you mean %q?", form, suggestion)
}

// startsUpper reports whether a name begins as services and methods do by convention,
// and packages do not.
func startsUpper(name string) bool { return name != "" && 'A' <= name[0] && name[0] <= 'Z' }

// shortfalls word what a token lacks, by the kind of rule it does not meet.
var shortfalls = map[ruleKind]struct {
	reason Reason
	text   string
}{
	kindScopes:        {ReasonInsufficientScope, "the access token lacks a scope that the method needs"},
	kindAnyScope:      {ReasonInsufficientScope, "the access token lacks a scope that the method needs"},
	kindPermissions:   {ReasonInsufficientPermissions, "the access token lacks a permission that the method needs"},
	kindAnyPermission: {ReasonInsufficientPermissions, "the access token lacks a permission that the method needs"},
	kindOrganizations: {ReasonWrongOrganization, "the access token is of an organization that the method is not open to"},
	kindClients:       {ReasonWrongClient, "the access token is of a client that the method is not open to"},
}

// refusals are those made for a table so far, by reason and scopes: thousands of
// rows have few different rules.
type refusals map[struct {
	reason Reason
	scope  string
}]*refusal

// of returns the refusals that the rule can lead to, made once, so that a call
// that is refused costs no more than one that passes. They name the scopes that
// the rule names (RFC 6750, section 3), which is what the client has to ask
// Auth0 for; where any one of several would do, it is told of all.
func (made refusals) of(rule *Rule) map[ruleKind]*refusal {
	var scope string
	parameters := `error="insufficient_scope"`
	if scopes := rule.scopes(); len(scopes) > 0 {
		scope = strings.Join(scopes, " ")
		parameters += `, scope="` + scope + `"`
	}
	all := map[ruleKind]*refusal{}
	rule.walk(func(part *Rule) {
		short, ok := shortfalls[part.kind]
		if !ok || all[part.kind] != nil {
			return
		}
		key := struct {
			reason Reason
			scope  string
		}{short.reason, scope}
		if made[key] == nil {
			info := infoOf(short.reason)
			if scope != "" {
				info.Metadata = map[string]string{"scope": scope}
			}
			made[key] = newRefusal(ErrInsufficientScope, codes.PermissionDenied, info, short.text, &parameters)
		}
		all[part.kind] = made[key]
	})
	return all
}

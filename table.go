package auth0grpc

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"google.golang.org/grpc/codes"

	"github.com/auth0grpc/auth0grpc/internal/grammar"
)

// Rows for the services that gRPC itself contains, as keys of [Config.Methods]. The
// table has none of them by default: its reader must see which methods answer without a
// token.
const (
	HealthService          = "/grpc.health.v1.Health/*"
	ReflectionService      = "/grpc.reflection.v1.ServerReflection/*"
	ReflectionAlphaService = "/grpc.reflection.v1alpha.ServerReflection/*" // reflection.Register registers this one as well
	ChannelzService        = "/grpc.channelz.v1.Channelz/*"
)

// A table holds Config.Methods in a form for look-ups. It is immutable.
type table struct {
	rows     []row           // in no order
	methods  map[string]*row // by full method
	services map[string]*row // by "/pkg.Service/", for rows that end in *

	fingerprint string
}

// A row is one entry of the table.
type row struct {
	pattern  string
	rule     Rule
	refusals [lastClaimKind + 1]*refusal // by the kind of rule that a token does not satisfy
	messages *messageRules               // nil: no rules about the request message
}

// check returns the refusal of a token that does not satisfy the rule of the row, or
// nil. It rejects an anonymous subject first: no rule states by itself that an issuer
// knows the subject.
func (r *row) check(t *Token) *refusal {
	if t.IsAnonymous() && !r.rule.allowAnonymous {
		return refusedAnonymous
	}
	ok, failed := r.rule.satisfiedBy(t)
	switch {
	case ok:
		return nil
	case failed <= lastClaimKind && r.refusals[failed] != nil:
		return r.refusals[failed]
	}
	return refusedUnlisted // New refuses rules that have no refusal
}

// lookup returns the row for a full method, or nil. A row for the method itself
// beats a row for its service. A name that is not canonical finds nothing, so
// "pkg.Service/Method" is refused and not mistaken for another name
// (CVE-2026-33186). A handler for unknown services gets any name that a client sends.
func (t *table) lookup(fullMethod string) *row {
	if r, ok := t.methods[fullMethod]; ok {
		return r
	}
	method := strings.LastIndexByte(fullMethod, '/') + 1
	if !grammar.IsIdentifier(fullMethod[method:]) {
		return nil
	}
	return t.services[fullMethod[:method]]
}

// sorted returns all rows sorted by pattern.
func (t *table) sorted() []*row {
	sorted := make([]*row, len(t.rows))
	for i := range t.rows {
		sorted[i] = &t.rows[i]
	}
	slices.SortFunc(sorted, func(a, b *row) int { return strings.Compare(a.pattern, b.pattern) })
	return sorted
}

// scopes returns every scope and permission that a row names, sorted, each once. In
// Auth0 both are permissions of the API.
func (t *table) scopes() []string {
	var scopes []string
	for i := range t.rows {
		t.rows[i].rule.walk(func(rule *Rule) {
			switch ruleKinds[rule.kind].claim {
			case claimScope, claimPermissions:
				scopes = append(scopes, rule.names...)
			}
		})
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// reportOnlyRows returns the patterns of the rows that are not enforced, sorted.
func (t *table) reportOnlyRows() []string {
	var patterns []string
	for i := range t.rows {
		if t.rows[i].rule.reportOnly {
			patterns = append(patterns, t.rows[i].pattern)
		}
	}
	slices.Sort(patterns)
	return patterns
}

// String returns a line for each row, and then the scopes and the fingerprint.
func (t *table) String() string {
	var b strings.Builder
	columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range t.sorted() {
		fmt.Fprintf(columns, "%s\t%s\n", r.pattern, r.rule)
	}
	columns.Flush() // a strings.Builder returns no errors
	if scopes := t.scopes(); len(scopes) > 0 {
		fmt.Fprintf(&b, "\nscopes: %s\n", strings.Join(scopes, " "))
	}
	fmt.Fprintf(&b, "\npolicy: %s\n", t.fingerprint)
	return b.String()
}

// newTable compiles methods and returns every fault in them.
func newTable(methods map[string]Rule) (*table, []*ConfigError) {
	t := &table{rows: make([]row, 0, len(methods)), methods: make(map[string]*row, len(methods)), services: map[string]*row{}}
	cache := refusalCache{}
	var faults []*ConfigError
	if len(methods) == 0 {
		faults = append(faults, &ConfigError{Field: "Methods", Reason: "is required: a method without a row is refused, so an empty table refuses every call"})
	}
	for key, rule := range methods {
		if !grammar.IsMethodPattern(key) {
			faults = append(faults, &ConfigError{methodsField(key), key, explainKey(key, methods)})
		}
		if reasons := rule.validate(); len(reasons) > 0 {
			text := shorten(rule.String())
			for _, reason := range reasons {
				faults = append(faults, &ConfigError{methodsField(key), text, reason})
			}
		}
		t.rows = append(t.rows, row{pattern: key, rule: rule})
		r := &t.rows[len(t.rows)-1]
		cache.fill(r)
		r.messages = newMessageRules(&rule)
		if service, ok := strings.CutSuffix(key, "*"); ok {
			t.services[service] = r
		} else {
			t.methods[key] = r
		}
	}
	if len(faults) == 0 {
		t.fingerprint = newFingerprint(t)
	}
	return t, faults
}

// methodsField returns the name of a row in a [ConfigError].
func methodsField(key string) string { return fmt.Sprintf("Methods[%q]", key) }

// shorten returns the start of a long text. A rule may have thousands of names, and a
// fault in each.
func shorten(text string) string {
	const maxShown = 256
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(text[:maxShown], "") + " …"
}

// explainKey returns the fault of a key that is no pattern, with the probable intent.
func explainKey(key string, methods map[string]Rule) string {
	const usage = `is not a full method; want "/pkg.Service/Method" or "/pkg.Service/*"`
	name := strings.Trim(strings.TrimSpace(key), "/")
	suggestion := "/" + name
	if !strings.Contains(name, "/") {
		if strings.HasSuffix(name, ".*") {
			return usage + "; a wildcard covers the methods of one service: give each service of a package a row of its own"
		}
		suggestion += "/*"
		if parts := strings.Split(name, "."); len(parts) > 1 && startsUpper(parts[len(parts)-2]) { // pkg.Service.Method
			suggestion = "/" + strings.Join(parts[:len(parts)-1], ".") + "/" + parts[len(parts)-1]
		}
	}
	if !grammar.IsMethodPattern(suggestion) {
		return usage
	}
	if _, ok := methods[suggestion]; ok {
		return fmt.Sprintf("%s; it is another spelling of %q, which has a row of its own", usage, suggestion)
	}
	return fmt.Sprintf("%s; did you mean %q?", usage, suggestion)
}

// startsUpper reports whether a name begins as services and methods do by convention,
// and packages do not.
func startsUpper(name string) bool { return name != "" && 'A' <= name[0] && name[0] <= 'Z' }

// A refusalCache holds the refusals of a table: thousands of rows have few different
// rules.
type refusalCache map[refusalKey]*refusal

type refusalKey struct {
	reason Reason
	scope  string
}

// fill sets the refusals of a row in advance, so that a refused call costs no more than
// one that passes. They name the scopes of the rule (RFC 6750, section 3), which the
// client must request from Auth0. If one of several suffices, they name all, within
// maxScopeBytes.
func (cache refusalCache) fill(r *row) {
	scope := boundedScope(r.rule.scopes())
	r.rule.walk(func(rule *Rule) {
		kind := &ruleKinds[rule.kind]
		if kind.reason == "" || r.refusals[rule.kind] != nil {
			return
		}
		key := refusalKey{kind.reason, scope}
		if cache[key] == nil {
			cache[key] = newRuleRefusal(rule.kind, scope)
		}
		r.refusals[rule.kind] = cache[key]
	})
}

// maxScopeBytes bounds the scopes in a refusal, which has them in the challenge and,
// in base64, in the status. Clients of other languages reject 8 KiB of metadata.
const maxScopeBytes = 2 << 10

// boundedScope joins scopes, whole ones, up to maxScopeBytes.
func boundedScope(scopes []string) string {
	size := 0
	for i, scope := range scopes {
		if size += len(scope) + 1; size > maxScopeBytes+1 {
			return strings.Join(scopes[:i], " ")
		}
	}
	return strings.Join(scopes, " ")
}

func newRuleRefusal(kind ruleKind, scope string) *refusal {
	challengeParams := `error="insufficient_scope"`
	info := errorInfo(ruleKinds[kind].reason)
	if scope != "" {
		challengeParams += `, scope="` + scope + `"`
		info.Metadata = map[string]string{"scope": scope}
	}
	return newRefusal(ErrInsufficientScope, codes.PermissionDenied, info, ruleKinds[kind].refusal, &challengeParams)
}

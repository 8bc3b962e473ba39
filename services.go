package auth0grpc

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/auth0grpc/auth0grpc/internal/configerror"
)

// A CheckOption changes the report of [Interceptor.CheckServices] and [CheckMethods].
// The zero CheckOption changes nothing.
type CheckOption struct {
	ignored   []string
	allowIdle bool
	files     protodesc.Resolver
}

// IgnoreServices returns an option that leaves services out of the comparison, by names
// such as "grpc.health.v1.Health": neither their methods need rows nor their rows
// methods. It serves frameworks that register their own services later. A call of an
// ignored service still needs a row, or it is refused.
func IgnoreServices(names ...string) CheckOption {
	return CheckOption{ignored: slices.Clone(names)}
}

// AllowIdleRows returns an option that accepts rows that match no registered
// method. It serves transparent proxies, which register nothing and answer through
// grpc.UnknownServiceHandler. Methods without a row are still reported.
func AllowIdleRows() CheckOption { return CheckOption{allowIdle: true} }

// Descriptors returns an option with the files that describe the services, for
// [Rule.Same] and [Rule.Relation]. It serves programs whose services come from files or
// from server reflection. Default, also for nil: protoregistry.GlobalFiles, the registry of
// generated Go code.
func Descriptors(files protodesc.Resolver) CheckOption { return CheckOption{files: files} }

// CheckServices compares the table with the services that a server has registered. The
// error names each difference: methods without a row, whose calls are refused, and rows
// and wildcards that match no method, each with the name that was probably meant. Call
// it once, after the last Register and before Serve:
//
//	if err := guard.CheckServices(server.GetServiceInfo()); err != nil { log.Fatal(err) }
//
// Services of gRPC itself, such as health and reflection, count like all others (see
// [HealthService]).
//
// Rules about messages are compared with the descriptors of the services (see
// [Descriptors]). CheckServices reports each field that a request does not have or that no
// rule can name, and methods without a descriptor. It also reports rows with such rules
// if [Interceptor.AuthFunc] was called, which sees no messages.
//
// It also reports a server that checks only half of its methods: unary and streaming
// methods have an interceptor each, and only one of the two was obtained from i.
// Methods with the rule [Public] need none. Nothing is reported if neither was
// obtained, because [Interceptor.AuthFunc] may serve both kinds. It does not know which
// server an interceptor was given to. After a call of [Interceptor.AuthFunc] it reports
// no missing interceptor: it cannot detect that the function was installed for unary
// methods alone, which leaves streams open to everyone. Call a streaming method without
// a token in a test, as auth0grpctest.Sweep does.
func (i *Interceptor) CheckServices(services map[string]grpc.ServiceInfo, options ...CheckOption) error {
	methods := i.table.Load()
	if methods == nil {
		return ErrUnlistedMethod
	}
	var errs []error
	if unary, stream := i.obtained.unary.Load(), i.obtained.stream.Load(); unary != stream && !i.obtained.authFunc.Load() {
		errs = methods.uncheckedMethods(services, stream)
	}
	if i.obtained.authFunc.Load() {
		errs = append(errs, methods.unseenMessages()...)
	}
	return errors.Join(append(errs, methods.compare(services, options)...)...)
}

// CheckMethods makes the comparison of [Interceptor.CheckServices] for a table
// before it is given to [Interceptor.SetMethods] or [New]. Faults of the table
// itself are returned as [*ConfigError] values, as New returns them, and no others
// then. It does not know Config.DPoP and Config.MTLS, so it accepts rows that
// require them.
func CheckMethods(methods map[string]Rule, services map[string]grpc.ServiceInfo, options ...CheckOption) error {
	compiled, faults := newTable(methods)
	if len(faults) > 0 {
		return configerror.Join(faults)
	}
	return errors.Join(compiled.compare(services, options)...)
}

// uncheckedMethods returns a fault if methods are registered whose interceptor was not
// obtained: gRPC calls their handlers unchecked. stream reports which one was obtained.
func (t *table) uncheckedMethods(services map[string]grpc.ServiceInfo, stream bool) []error {
	kind, missing := "streaming", "StreamServerInterceptor"
	if stream {
		kind, missing = "unary", "UnaryServerInterceptor"
	}
	var unchecked []string
	for service, info := range services {
		for _, method := range info.Methods {
			isStream := method.IsClientStream || method.IsServerStream
			fullMethod := "/" + service + "/" + method.Name
			if r := t.lookup(fullMethod); isStream != stream && (r == nil || r.rule.kind != kindPublic) {
				unchecked = append(unchecked, fullMethod)
			}
		}
	}
	if len(unchecked) == 0 {
		return nil
	}
	return []error{fmt.Errorf("auth0grpc: %s is a %s method, and the server has no %s, so its calls are not checked; use ServerOptions, which has both (methods affected: %d)",
		slices.Min(unchecked), kind, missing, len(unchecked))}
}

// compare returns the differences between the table and the services, sorted.
func (t *table) compare(services map[string]grpc.ServiceInfo, options []CheckOption) []error {
	var allowIdle bool
	var files protodesc.Resolver = protoregistry.GlobalFiles
	ignored := map[string]bool{}
	for _, option := range options {
		allowIdle = allowIdle || option.allowIdle
		if option.files != nil {
			files = option.files
		}
		for _, service := range option.ignored {
			ignored[service] = true
		}
	}
	registered := map[string]bool{} // full method: whether it has a row
	usedRows := map[*row]bool{}
	for service, info := range services {
		// A wildcard whose methods all have rows of their own is a default for those
		// to come, and not unmatched.
		usedRows[t.services["/"+service+"/"]] = len(info.Methods) > 0
		for _, method := range info.Methods {
			fullMethod := "/" + service + "/" + method.Name
			r := t.lookup(fullMethod)
			registered[fullMethod] = r != nil || ignored[service]
			usedRows[r] = true
		}
	}
	var unmatched []string // patterns that match nothing
	for _, r := range t.sorted() {
		if !usedRows[r] && !ignored[serviceOf(r.pattern)] {
			unmatched = append(unmatched, r.pattern)
		}
	}
	var errs []error
	fullMethods := slices.Sorted(maps.Keys(registered))
	patterns := newSuggestions(unmatched)
	for _, fullMethod := range fullMethods {
		if !registered[fullMethod] {
			errs = append(errs, fmt.Errorf("auth0grpc: %s is registered but has no row, so every call is refused%s", fullMethod, rowHint(fullMethod, patterns)))
		}
	}
	errs = append(errs, t.messageFaults(fullMethods, ignored, files)...)
	if allowIdle {
		return errs
	}
	names, wildcards := newSuggestions(fullMethods), newSuggestions(wildcardsFor(fullMethods))
	for _, pattern := range unmatched {
		candidates := names
		if strings.HasSuffix(pattern, "*") {
			candidates = wildcards
		}
		errs = append(errs, fmt.Errorf("auth0grpc: row %s matches no registered method%s", pattern, candidates.didYouMean(pattern)))
	}
	return errs
}

// messageFaults returns the errs of rules about messages, compared with the
// descriptors of the methods.
func (t *table) messageFaults(fullMethods []string, ignored map[string]bool, files protodesc.Resolver) []error {
	var errs []error
	for _, fullMethod := range fullMethods {
		r := t.lookup(fullMethod)
		if r == nil || r.messages == nil || ignored[serviceOf(fullMethod)] {
			continue
		}
		input := inputOf(files, fullMethod)
		if input == nil {
			errs = append(errs, fmt.Errorf("auth0grpc: %s has no descriptor, so the fields of its rule cannot be checked (%s)", fullMethod, r.rule))
		} else if form := r.messages.compile(input); form.err != nil {
			for line := range strings.SplitSeq(form.err.Error(), "\n") {
				errs = append(errs, fmt.Errorf("auth0grpc: %s (%s): %s", fullMethod, r.rule, line))
			}
		}
	}
	return errs
}

// unseenMessages returns a fault for each row with rules about messages, for a server that
// uses AuthFunc.
func (t *table) unseenMessages() []error {
	var errs []error
	for _, r := range t.sorted() {
		if r.messages != nil {
			errs = append(errs, fmt.Errorf("auth0grpc: row %s (%s) needs the request message, and AuthFunc sees none, so it refuses every call; use ServerOptions", r.pattern, r.rule))
		}
	}
	return errs
}

// serviceOf returns the service of a canonical full method or pattern.
func serviceOf(pattern string) string {
	return pattern[1:strings.LastIndexByte(pattern, '/')]
}

// builtinRows names the constants for the services of gRPC itself.
var builtinRows = map[string]string{
	HealthService:          "HealthService",
	ReflectionService:      "ReflectionService",
	ReflectionAlphaService: "ReflectionAlphaService",
	ChannelzService:        "ChannelzService",
}

// rowHint returns a hint at the row that a registered method needs, or "".
func rowHint(fullMethod string, patterns *suggestions) string {
	if name, ok := builtinRows[fullMethod[:strings.LastIndexByte(fullMethod, '/')+1]+"*"]; ok {
		return "; the row for its service is auth0grpc." + name
	}
	return patterns.didYouMean(fullMethod)
}

package auth0grpchttp

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// FullMethod decides on every request as on a call of one method. Use it behind a
// router, one handler for each route: the decision is then on the
// method that the router chose.
//
//	mux.Handle("GET /v1/orders/{id}", auth0grpchttp.Handler(guard, getOrder, auth0grpchttp.FullMethod("/orders.v1.Orders/Get")))
func FullMethod(fullMethod string) Option {
	return func(c *config) {
		c.method = func(*http.Request) (string, bool) { return fullMethod, true }
		c.methods = []string{fullMethod}
	}
}

// MethodFunc sets the function that returns the full method of a request, or false for
// a request that is refused. The handler behind the door must run exactly this method.
// So base it on the router's result and not on the path: two readings of one path (case,
// escapes, dots, a slash at the end) are the way around a check.
func MethodFunc(method func(*http.Request) (fullMethod string, ok bool)) Option {
	return func(c *config) { c.method, c.methods = method, nil }
}

// Routes maps the result of a router to full methods. route returns the pattern that the
// router matched, and methods has the full method of each pattern. A pattern that is
// missing is refused. methods is copied.
//
// Behind a [http.ServeMux], route returns Request.Pattern. For grpc-gateway see
// [GatewayRoutes].
func Routes(route func(*http.Request) string, methods map[string]string) Option {
	methods = maps.Clone(methods)
	return func(c *config) {
		c.method = func(r *http.Request) (string, bool) {
			fullMethod, ok := methods[route(r)]
			return fullMethod, ok
		}
		c.methods = slices.Collect(maps.Values(methods))
	}
}

// methodOfPath returns the path if it is a full method in its one spelling. Connect and
// gRPC route by exactly this text.
func methodOfPath(r *http.Request) (string, bool) {
	path := r.URL.Path
	// RawPath is set if the path was sent with other escapes than Go would write.
	if r.URL.RawPath != "" || len(path) < 4 || path[0] != '/' {
		return "", false
	}
	service, method, ok := strings.Cut(path[1:], "/")
	if !ok || !isName(method) {
		return "", false
	}
	for part := range strings.SplitSeq(service, ".") {
		if !isName(part) {
			return "", false
		}
	}
	return path, true
}

// isName reports whether s is an identifier of protobuf.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// GatewayRoutes returns the methods of services by the patterns that grpc-gateway serves
// them under, for [Routes]. It reads the google.api.http options. A key has the HTTP
// method and the pattern as grpc-gateway prints it: "GET /v1/orders/{id=*}". A method
// without the option has the key of its own path, with POST. It is an error if two
// methods share a key, or if a path has an empty part. Routes of a separate
// configuration file are not in the descriptors: add them to the map.
//
// Pass all services that the gateway serves. A middleware of the gateway, see
// [Middleware], knows the pattern:
//
//	pattern, _ := runtime.HTTPPattern(r.Context())
//	return r.Method + " " + pattern.String()
//
// Create the gateway with runtime.WithDisablePathLengthFallback. Otherwise it reads the
// body of a form before any middleware runs, and the client may choose the HTTP method.
func GatewayRoutes(services ...protoreflect.ServiceDescriptor) (map[string]string, error) {
	routes := map[string]string{}
	for _, service := range services {
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			fullMethod := "/" + string(service.FullName()) + "/" + string(method.Name())
			keys, err := httpRules(method)
			if err != nil {
				return nil, fmt.Errorf("auth0grpchttp: %s: %w", fullMethod, err)
			}
			if len(keys) == 0 {
				keys = []string{"POST " + fullMethod}
			}
			for _, key := range keys {
				if other, ok := routes[key]; ok && other != fullMethod {
					return nil, fmt.Errorf("auth0grpchttp: %s and %s share the route %s", other, fullMethod, key)
				}
				routes[key] = fullMethod
			}
		}
	}
	return routes, nil
}

// The numbers of google.api.http and of the fields of google.api.HttpRule. Reading them
// from the wire saves the dependency, and works for descriptors of any origin.
const (
	httpExtension      = 72295728
	fieldCustom        = 8
	fieldAdditional    = 11
	fieldCustomKind    = 1
	fieldCustomPath    = 2
	maxRuleNesting     = 2 // additional bindings have none of their own
	wireTypeOfMessages = protowire.BytesType
)

var verbs = map[protowire.Number]string{2: "GET", 3: "PUT", 4: "POST", 5: "DELETE", 6: "PATCH"}

// httpRules returns the keys of a method's HTTP rules.
func httpRules(method protoreflect.MethodDescriptor) (keys []string, err error) {
	options, err := proto.Marshal(method.Options())
	if err != nil {
		return nil, err
	}
	err = eachField(options, func(number protowire.Number, value []byte) error {
		if number != httpExtension {
			return nil
		}
		return appendRule(&keys, value, maxRuleNesting)
	})
	return keys, err
}

func appendRule(keys *[]string, rule []byte, nesting int) error {
	if nesting == 0 {
		return nil
	}
	return eachField(rule, func(number protowire.Number, value []byte) error {
		switch {
		case verbs[number] != "":
			return appendKey(keys, verbs[number], string(value))
		case number == fieldCustom:
			var kind, path string
			err := eachField(value, func(number protowire.Number, value []byte) error {
				switch number {
				case fieldCustomKind:
					kind = string(value)
				case fieldCustomPath:
					path = string(value)
				}
				return nil
			})
			if err != nil {
				return err
			}
			return appendKey(keys, kind, path)
		case number == fieldAdditional:
			return appendRule(keys, value, nesting-1)
		}
		return nil
	})
}

// appendKey adds the key of a route. grpc-gateway reads an empty segment as "*", and drops
// an empty verb. Such a template would run under the key of another method.
func appendKey(keys *[]string, httpMethod, template string) error {
	if strings.Contains(template, "//") || strings.HasSuffix(template, ":") {
		return fmt.Errorf("the path %q has an empty part, which grpc-gateway reads as another path", template)
	}
	*keys = append(*keys, httpMethod+" "+gatewayPattern(template))
	return nil
}

// eachField calls visit with each field of a message that has a length.
func eachField(message []byte, visit func(protowire.Number, []byte) error) error {
	for len(message) > 0 {
		number, wireType, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		if wireType == wireTypeOfMessages {
			value, n := protowire.ConsumeBytes(message)
			if n < 0 {
				return protowire.ParseError(n)
			}
			if err := visit(number, value); err != nil {
				return err
			}
		}
		if n = protowire.ConsumeFieldValue(number, wireType, message); n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
	}
	return nil
}

// gatewayPattern returns a path template as grpc-gateway prints the compiled one: with
// the pattern of each variable.
func gatewayPattern(template string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(template, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		variable, after, _ := strings.Cut(rest, "}")
		b.WriteString("{" + variable)
		if !strings.Contains(variable, "=") {
			b.WriteString("=*")
		}
		b.WriteString("}")
		template = after
	}
}

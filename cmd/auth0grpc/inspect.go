package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy"
)

// A result is what there is to say about an input.
type result struct {
	table  string
	scopes []string // to define on the API in Auth0
	faults []string // what makes the gate fail
	notes  []string // what does not
}

// inspect judges the policy and compares it with the services. The error is of
// the policy.
func inspect(in *input) (*result, error) {
	methods, err := methodsOf(in)
	if err != nil {
		return nil, err
	}
	// Tenant and address are of no concern here, and New asks neither.
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:   []string{"https://tenant.invalid/"},
		Audiences: []string{"https://api.invalid"},
		Methods:   methods,
		DPoP:      auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://api.invalid"}},
		MTLS:      auth0grpc.MTLSConfig{Mode: auth0grpc.BindingAllowed},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	r := &result{table: guard.String()}
	if r.scopes, err = scopesOf(methods); err != nil {
		return nil, err
	}
	if in.services == nil {
		return r, nil
	}
	services := maps.Clone(in.services)
	if !in.reflected {
		assumeOwn(services, methods)
	}
	if err := guard.CheckServices(services); err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			r.faults = append(r.faults, strings.TrimPrefix(line, "auth0grpc: "))
		}
	}
	return r, nil
}

// methodsOf returns the table of the file and of the options together.
func methodsOf(in *input) (map[string]auth0grpc.Rule, error) {
	var tables []map[string]auth0grpc.Rule
	if in.policy != nil {
		table, err := policy.Parse(in.policy)
		if err != nil {
			return nil, err
		}
		tables = append(tables, table)
	}
	if in.services != nil {
		table, err := policy.FromServices(in.services, in.files)
		if err != nil {
			return nil, err
		}
		tables = append(tables, table)
	}
	return policy.Merge(tables...)
}

// assumeOwn adds the services that gRPC itself brings and the table has rows for:
// the descriptor sets of one's own files do not have them.
func assumeOwn(services map[string]grpc.ServiceInfo, methods map[string]auth0grpc.Rule) {
	own := []string{
		auth0grpc.HealthService, auth0grpc.ReflectionService, auth0grpc.ReflectionAlphaService, auth0grpc.ChannelzService,
	}
	for _, wildcard := range own {
		prefix := strings.TrimSuffix(wildcard, "*")
		service := strings.Trim(prefix, "/")
		if _, ok := services[service]; ok {
			continue
		}
		var info grpc.ServiceInfo
		for key := range methods {
			if key == wildcard {
				info.Methods = append(info.Methods, grpc.MethodInfo{Name: "Any"})
			} else if method, ok := strings.CutPrefix(key, prefix); ok {
				info.Methods = append(info.Methods, grpc.MethodInfo{Name: method})
			}
		}
		services[service] = info
	}
}

// openID are the scopes that are everywhere in Auth0 and cannot be defined on an
// API.
var openID = []string{"openid", "profile", "email", "address", "phone", "offline_access"}

// scopesOf returns what the API has to have in Auth0 for the table to be met:
// scopes, and permissions, which there are the same thing.
func scopesOf(methods map[string]auth0grpc.Rule) ([]string, error) {
	var all []string
	for _, rule := range methods {
		text, err := rule.MarshalJSON()
		if err != nil {
			return nil, err
		}
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			return nil, err
		}
		all = collect(all, value)
	}
	all = slices.DeleteFunc(all, func(scope string) bool { return slices.Contains(openID, scope) })
	slices.Sort(all)
	return slices.Compact(all), nil
}

func collect(all []string, value any) []string {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			all = collect(all, element)
		}
	case map[string]any:
		for name, member := range value {
			names, ok := member.([]any)
			switch name {
			case "scopes", "anyScope", "permissions", "anyPermission":
				for _, one := range names {
					all = append(all, fmt.Sprint(one))
				}
			default:
				if ok {
					all = collect(all, names)
				}
			}
		}
	}
	return all
}

// compare notes the differences between what is used and what the API has.
func (r *result) compare(defined []string) {
	for _, scope := range r.scopes {
		if !slices.Contains(defined, scope) {
			r.faults = append(r.faults, fmt.Sprintf("scope %s is not defined on the API, so no token can have it", scope))
		}
	}
	for _, scope := range slices.Compact(slices.Sorted(slices.Values(defined))) {
		if !slices.Contains(r.scopes, scope) {
			r.notes = append(r.notes, fmt.Sprintf("scope %s is used by no method", scope))
		}
	}
}

// print writes faults and notes, and returns the exit status.
func (r *result) print(w io.Writer) int {
	if len(r.faults)+len(r.notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, fault := range r.faults {
		fmt.Fprintf(w, "FAULT  %s\n", fault)
	}
	for _, note := range r.notes {
		fmt.Fprintf(w, "note   %s\n", note)
	}
	if len(r.faults) > 0 {
		return exitFaults
	}
	return exitOK
}

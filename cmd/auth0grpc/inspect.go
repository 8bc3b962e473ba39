package main

import (
	"context"
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

// A result holds the findings about an input.
type result struct {
	table  string
	scopes []string // to define on the API in Auth0
	faults []string // make the command fail
	notes  []string // do not
}

// noRelations stands for the RelationChecker of the server, which the command does not ask.
var noRelations = auth0grpc.RelationCheckerFunc(func(context.Context, auth0grpc.RelationQuery) (bool, error) {
	return false, nil
})

// inspect checks the policy and compares it with the services. It returns an error if
// the policy itself is wrong.
func inspect(in *input) (*result, error) {
	methods, err := mergedMethods(in)
	if err != nil {
		return nil, err
	}
	// The table needs no tenant: New does no I/O.
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:         []string{"https://tenant.invalid/"},
		Audiences:       []string{"https://api.invalid"},
		Methods:         methods,
		DPoP:            auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://api.invalid"}},
		MTLS:            auth0grpc.MTLSConfig{Mode: auth0grpc.BindingAllowed},
		Logger:          slog.New(slog.DiscardHandler),
		RelationChecker: noRelations,
	})
	if err != nil {
		return nil, err
	}
	r := &result{table: guard.String(), scopes: slices.DeleteFunc(guard.RequiredScopes(), isOpenIDScope)}
	if in.services == nil {
		return r, nil
	}
	services := maps.Clone(in.services)
	if !in.reflected {
		addBuiltinServices(services, methods)
	}
	if err := guard.CheckServices(services, auth0grpc.Descriptors(in.files)); err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			r.faults = append(r.faults, strings.TrimPrefix(line, "auth0grpc: "))
		}
	}
	return r, nil
}

// mergedMethods returns the rows of the policy file and of the options in descriptors.
func mergedMethods(in *input) (map[string]auth0grpc.Rule, error) {
	var tables []map[string]auth0grpc.Rule
	if in.policy != nil {
		table, err := policy.Parse(in.policy)
		if err != nil {
			return nil, err
		}
		in.addImported(table)
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

// addImported adds the imported services that the policy file has rows for: a server
// may serve the service of another module.
func (in *input) addImported(table map[string]auth0grpc.Rule) {
	for key := range table {
		service, _, _ := strings.Cut(strings.TrimPrefix(key, "/"), "/")
		if info, ok := in.imported[service]; ok {
			in.services[service] = info
		}
	}
}

// addBuiltinServices adds the services of gRPC itself that the table has rows for.
// Descriptor sets seldom contain them.
func addBuiltinServices(services map[string]grpc.ServiceInfo, methods map[string]auth0grpc.Rule) {
	builtin := []string{
		auth0grpc.HealthService, auth0grpc.ReflectionService, auth0grpc.ReflectionAlphaService, auth0grpc.ChannelzService,
	}
	for _, wildcard := range builtin {
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

// openIDScopes exist in every Auth0 tenant and cannot be defined on an API.
var openIDScopes = []string{"openid", "profile", "email", "address", "phone", "offline_access"}

func isOpenIDScope(name string) bool { return slices.Contains(openIDScopes, name) }

// compare adds the differences between the scopes of the table and of the API.
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

// print writes faults and notes and returns the exit status.
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

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"buf.build/go/bufplugin/check"
	"buf.build/go/bufplugin/descriptor"
	"buf.build/go/bufplugin/info"
	"buf.build/go/bufplugin/option"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy"
)

// The rules and their category.
const (
	category     = "AUTH0GRPC"
	ruleRequired = "AUTH0GRPC_RULE_REQUIRED"
	ruleValid    = "AUTH0GRPC_RULE_VALID"
	notLooser    = "AUTH0GRPC_NOT_LOOSER"
)

// allowOption lists the RPCs that may be looser, as full methods.
const allowOption = "allow"

var spec = &check.Spec{
	Rules: []*check.RuleSpec{
		{
			ID: ruleRequired, Default: true, CategoryIDs: []string{category}, Type: check.RuleTypeLint,
			Purpose: "Checks that every RPC has a rule.",
			Handler: check.RuleHandlerFunc(checkRequired),
		},
		{
			ID: ruleValid, Default: true, CategoryIDs: []string{category}, Type: check.RuleTypeLint,
			Purpose: "Checks that every rule is one that a server accepts.",
			Handler: check.RuleHandlerFunc(checkValid),
		},
		{
			ID: notLooser, Default: true, CategoryIDs: []string{category}, Type: check.RuleTypeBreaking,
			Purpose: "Checks that no RPC admits a call that it refused before.",
			Handler: check.RuleHandlerFunc(checkNotLooser),
		},
	},
	Categories: []*check.CategorySpec{{ID: category, Purpose: "Checks the rules of auth0grpc."}},
	Info:       &info.Spec{Documentation: "Checks the options of auth0grpc/v1/policy.proto."},
}

// checkRequired reports each RPC without a rule. A server refuses every call of it.
func checkRequired(_ context.Context, w check.ResponseWriter, request check.Request) error {
	files, err := readFiles(request.FileDescriptors())
	if err != nil {
		return err
	}
	table, err := files.table()
	if err != nil {
		return nil // checkValid reports it
	}
	for key, method := range files.methods {
		if _, ok := table[key]; !ok {
			w.AddAnnotation(check.WithDescriptor(method),
				check.WithMessagef("rpc %s has no rule, so every call is refused: state option (auth0grpc.v1.rule), or (auth0grpc.v1.default_rule) of the service", method.Name()))
		}
	}
	return nil
}

// checkValid reports each fault in a rule.
func checkValid(_ context.Context, w check.ResponseWriter, request check.Request) error {
	files, err := readFiles(request.FileDescriptors())
	if err != nil {
		return err
	}
	_, err = files.table()
	files.annotate(w, err)
	return nil
}

// checkNotLooser reports each RPC that admits a call which it refused before. An RPC that
// did not exist before is not reported.
func checkNotLooser(_ context.Context, w check.ResponseWriter, request check.Request) error {
	allowed, err := option.GetStringSliceValue(request.Options(), allowOption)
	if err != nil {
		return err
	}
	files, err := readFiles(request.FileDescriptors())
	if err != nil {
		return err
	}
	against, err := readFiles(request.AgainstFileDescriptors())
	if err != nil {
		return err
	}
	after, err := files.table()
	if err != nil {
		files.annotate(w, err)
		return nil
	}
	before, err := against.table()
	if err != nil {
		return fmt.Errorf("the rules before this change have faults, so nothing can be compared: %w", err)
	}
	differences, err := policy.Compare(before, after)
	if err != nil {
		return err
	}
	for _, d := range differences {
		method, old := files.methods[d.Method], against.methods[d.Method]
		if !d.Change.Loosens() || method == nil || old == nil || slices.Contains(allowed, d.Method) {
			continue
		}
		w.AddAnnotation(check.WithDescriptor(method), check.WithAgainstDescriptor(old),
			check.WithMessagef("rpc %s is looser than before: %s Allow it by the option %s of this plugin", method.Name(), d.Sentence, allowOption))
	}
	return nil
}

// protoFiles holds the files of a request.
type protoFiles struct {
	registry *protoregistry.Files
	services map[string]grpc.ServiceInfo
	methods  map[string]protoreflect.MethodDescriptor // by full method, as in a table
}

// readFiles reads the files, and the RPCs of those that are not only imported.
func readFiles(descriptors []descriptor.FileDescriptor) (*protoFiles, error) {
	f := &protoFiles{new(protoregistry.Files), map[string]grpc.ServiceInfo{}, map[string]protoreflect.MethodDescriptor{}}
	for _, file := range descriptors {
		content := file.ProtoreflectFileDescriptor()
		if err := f.registry.RegisterFile(content); err != nil {
			return nil, err
		}
		if file.IsImport() {
			continue
		}
		for i := range content.Services().Len() {
			service := content.Services().Get(i)
			f.services[string(service.FullName())] = grpc.ServiceInfo{}
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				f.methods[fmt.Sprintf("/%s/%s", service.FullName(), method.Name())] = method
			}
		}
	}
	return f, nil
}

// table returns the rules of the RPCs, or all faults in them.
func (f *protoFiles) table() (map[string]auth0grpc.Rule, error) {
	return policy.FromServices(f.services, f.registry)
}

// annotate reports the faults in rules, each at its method or service.
func (f *protoFiles) annotate(w check.ResponseWriter, err error) {
	if err == nil {
		return
	}
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	for _, err := range list {
		options := []check.AddAnnotationOption{check.WithMessage(err.Error())}
		var fault *policy.Error
		if errors.As(err, &fault) {
			options = []check.AddAnnotationOption{check.WithMessage(fault.Path + ": " + fault.Reason)}
			// The path begins with the name of the method or service.
			name, _, _ := strings.Cut(fault.Path, "(")
			if d, err := f.registry.FindDescriptorByName(protoreflect.FullName(name)); err == nil {
				options = append(options, check.WithDescriptor(d))
			}
		}
		w.AddAnnotation(options...)
	}
}

package auth0grpc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// messageRules holds the requirements of a row on the request message in a form for
// calls. It is safe for concurrent use.
type messageRules struct {
	same      []sameRule
	relations []relationRule
	templates []objectTemplate // of relations

	notOwner, noRelation []*refusal // of same and of relations

	mu    sync.Mutex // for changes of forms
	forms atomic.Pointer[map[formKey]*messageForm]
}

// A formKey names a method and the type of its messages. A row for a service has several
// methods.
type formKey struct {
	fullMethod string
	message    protoreflect.MessageDescriptor
}

// A messageForm holds the fields of the rules in one message type.
type messageForm struct {
	same      []fieldPath
	relations [][]fieldPath // by relation and field of its template
	err       error         // the rules do not fit the type
}

// maxForms bounds the message types that a row remembers. Proxies can make types at run
// time; those beyond the bound are compiled at each call.
const maxForms = 1024

// maxObjects bounds the objects that one message may name in a relation.
const maxObjects = 50

var (
	errNoProtobuf = errors.New("auth0grpc: the rule needs a protobuf message, and the request is none")
	errUnreadable = errors.New("auth0grpc: reading the fields of the request panicked")
)

// newMessageRules returns the requirements of a valid rule, or nil if it has none.
func newMessageRules(r *Rule) *messageRules {
	if !r.needsMessage() {
		return nil
	}
	m := &messageRules{same: r.same, relations: r.relations}
	m.forms.Store(&map[formKey]*messageForm{})
	for _, same := range r.same {
		m.notOwner = append(m.notOwner, newMessageRefusal(ReasonNotOwner, "the request is for a record of another party", r.hideExistence, same.String()))
	}
	for _, relation := range r.relations {
		template, _ := parseTemplate(relation.object) // New refuses faults
		m.templates = append(m.templates, template)
		m.noRelation = append(m.noRelation, newMessageRefusal(ReasonNoRelation, "the subject lacks the relation to the object that the method needs", r.hideExistence, relation.String()))
	}
	return m
}

// newMessageRefusal returns the refusal of a message. It has no challenge: no token with
// more scopes would help.
func newMessageRefusal(reason Reason, text string, hideExistence bool, rule string) *refusal {
	code := codes.PermissionDenied
	if hideExistence {
		code, text = codes.NotFound, "not found"
	}
	refused := newRefusal(ErrResourceDenied, code, errorInfo(reason), text, nil)
	refused.rule = rule
	return refused
}

// unnamed returns the refusal of a stream that names no record.
func (m *messageRules) unnamed() *refusal {
	if len(m.notOwner) > 0 {
		return m.notOwner[0]
	}
	return m.noRelation[0]
}

// refusals returns the refusal by each rule, in the order of evaluation.
func (m *messageRules) refusals() []*refusal { return append(slices.Clip(m.notOwner), m.noRelation...) }

// form returns the fields of the rules in the messages of a method.
func (m *messageRules) form(fullMethod string, message protoreflect.MessageDescriptor) *messageForm {
	key := formKey{fullMethod, message}
	if form := (*m.forms.Load())[key]; form != nil {
		return form
	}
	form := m.compile(message)
	if input := inputOf(protoregistry.GlobalFiles, fullMethod); input != nil && input.FullName() != message.FullName() {
		form.err = fmt.Errorf("auth0grpc: the request is of type %s, and the method takes %s", message.FullName(), input.FullName())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := *m.forms.Load(); len(known) < maxForms {
		updated := maps.Clone(known)
		updated[key] = form
		m.forms.Store(&updated)
	}
	return form
}

// compile finds the fields of the rules in a message type.
func (m *messageRules) compile(message protoreflect.MessageDescriptor) *messageForm {
	form := new(messageForm)
	var faults []error
	find := func(field string) fieldPath {
		path, err := compilePath(message, field)
		faults = append(faults, err)
		return path
	}
	for _, same := range m.same {
		form.same = append(form.same, find(same.field))
	}
	for i, template := range m.templates {
		paths := make([]fieldPath, len(template.fields))
		repeated := 0
		for n, field := range template.fields {
			if paths[n] = find(field); paths[n].isRepeated() {
				repeated++
			}
		}
		if repeated > 1 {
			faults = append(faults, fmt.Errorf("object %q has more than one repeated field", m.relations[i].object))
		}
		form.relations = append(form.relations, paths)
	}
	form.err = errors.Join(faults...) // without those that are nil
	return form
}

// inputOf returns the request type of a method, or nil.
func inputOf(files protodesc.Resolver, fullMethod string) protoreflect.MessageDescriptor {
	service, method, _ := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	descriptor, _ := files.FindDescriptorByName(protoreflect.FullName(service))
	if described, ok := descriptor.(protoreflect.ServiceDescriptor); ok {
		if found := described.Methods().ByName(protoreflect.Name(method)); found != nil {
			return found.Input()
		}
	}
	return nil
}

// reflectMessage returns the reflection of a message of any generation of Go's protobuf.
func reflectMessage(message any) (protoreflect.Message, bool) {
	switch message := message.(type) {
	case proto.Message:
		return message.ProtoReflect(), true
	case protoadapt.MessageV1:
		return protoadapt.MessageV2Of(message).ProtoReflect(), true
	}
	return nil, false
}

// lastObjects holds the objects that a stream has named last, by relation. A stream has
// one receiver at a time, so it needs no lock.
type lastObjects struct {
	first   bool // no message has passed yet
	objects [][]string
}

// required reports whether a message must name a record. A later message of a stream need
// not: it belongs to the record that an earlier one named.
func (l *lastObjects) required() bool { return l == nil || l.first }

// has reports whether the objects are the last ones, which were allowed.
func (l *lastObjects) has(n int, objects []string) bool {
	return l != nil && n < len(l.objects) && slices.Equal(l.objects[n], objects)
}

func (l *lastObjects) set(n int, objects []string) {
	if l == nil {
		return
	}
	for len(l.objects) <= n {
		l.objects = append(l.objects, nil)
	}
	l.objects[n] = objects
}

// check evaluates the rules for a request message and the token of its call. last holds
// the objects of earlier messages of a stream; it is nil for a unary call.
func (m *messageRules) check(ctx context.Context, fullMethod string, c *claims, message any, last *lastObjects) (refused *refusal) {
	defer func() {
		if recover() != nil {
			refused = refusedMisconfigured.withCause(errUnreadable)
		}
	}()
	reflected, ok := reflectMessage(message)
	if !ok {
		return refusedMisconfigured.withCause(errNoProtobuf)
	}
	form := m.form(fullMethod, reflected.Descriptor())
	if form.err != nil {
		return refusedMisconfigured.withCause(form.err)
	}
	for n, path := range form.same {
		want := c.text(m.same[n].claim)
		values, ok := path.visit(reflected, func(value string) bool { return value != "" && value == want })
		if !ok || values == 0 && last.required() {
			return m.notOwner[n]
		}
	}
	for n, paths := range form.relations {
		if refused := m.checkRelation(ctx, fullMethod, c, n, paths, reflected, last); refused != nil {
			return refused
		}
	}
	return nil
}

// checkRelation evaluates one relation.
func (m *messageRules) checkRelation(ctx context.Context, fullMethod string, c *claims, n int, paths []fieldPath, message protoreflect.Message, last *lastObjects) *refusal {
	objects, unset, ok := m.templates[n].objects(paths, message)
	switch {
	case !ok, unset && last.required():
		return m.noRelation[n]
	case unset || last.has(n, objects):
		return nil
	}
	for _, object := range objects {
		allowed, refused := c.ask(ctx, &c.Token, fullMethod, m.relations[n].relation, object)
		if refused != nil {
			return refused
		}
		if !allowed {
			return m.noRelation[n]
		}
	}
	last.set(n, objects)
	return nil
}

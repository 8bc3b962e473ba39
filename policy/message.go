package policy

import (
	"cmp"
	"fmt"

	"github.com/auth0grpc/auth0grpc"
)

// eachModifier returns the modifier of a member with an object, or an array of objects,
// that add returns the rule with. example is a member of the object.
func eachModifier(example string, add func(f *faults, path string, members object, offset int, rule auth0grpc.Rule) auth0grpc.Rule) modifier {
	return func(f *faults, path string, value node, rule auth0grpc.Rule) auth0grpc.Rule {
		elements, isArray := value.val.(array)
		if !isArray {
			elements = array{value}
		} else if len(elements) == 0 {
			f.add(value.offset, path, "is empty; leave it out")
		}
		for i, e := range elements {
			elementPath := path
			if isArray {
				elementPath = element(path, i)
			}
			members, ok := e.val.(object)
			if !ok {
				f.add(e.offset, elementPath, "want an object with the member %q, or an array of such objects", example)
				continue
			}
			rule = add(f, elementPath, members, e.offset, rule)
		}
		return rule
	}
}

// claims are the names of the claims that have a constant.
var claims = map[string]auth0grpc.Claim{
	"SUBJECT":      auth0grpc.ClaimSubject,
	"ORGANIZATION": auth0grpc.ClaimOrganization,
	"CLIENT":       auth0grpc.ClaimClient,
}

// same reads {"field": "org_id", "claim": "ORGANIZATION"}, or "namedClaim" in place of
// "claim".
func (f *faults) same(path string, members object, offset int, rule auth0grpc.Rule) auth0grpc.Rule {
	texts := f.texts(path, members, "field", "claim", "namedClaim")
	claim, known := claims[texts["claim"]]
	_, hasClaim := texts["claim"]
	named, hasNamed := texts["namedClaim"]
	switch {
	case hasClaim == hasNamed:
		f.add(offset, path, `want either "claim" or "namedClaim"`)
	case hasNamed:
		claim = auth0grpc.NamedClaim(named)
	case !known:
		f.add(offset, path+".claim", "want SUBJECT, ORGANIZATION or CLIENT; namedClaim is for other claims")
	}
	return rule.Same(texts["field"], claim)
}

// relation reads {"relation": "viewer", "object": "order:{order_id}"}.
func (f *faults) relation(path string, members object, offset int, rule auth0grpc.Rule) auth0grpc.Rule {
	texts := f.texts(path, members, "relation", "object")
	return rule.Relation(texts["relation"], texts["object"])
}

// texts reads the members of an object, which are strings.
func (f *faults) texts(path string, members object, names ...string) map[string]string {
	texts := map[string]string{}
	for _, m := range members {
		known := false
		for _, name := range names {
			known = known || m.name == name
		}
		if !known {
			f.add(m.offset, path+memberStep(m.label), "is unknown; want %s", joinNames(names))
			continue
		}
		text, ok := m.value.val.(string)
		if !ok {
			f.add(m.value.offset, path+memberStep(m.label), "want a string")
		}
		texts[m.name] = text
	}
	return texts
}

func joinNames(names []string) string {
	text := names[0]
	for _, name := range names[1:] {
		text += ", " + name
	}
	return text
}

// messageNames returns a name for each requirement of the member same or relation. Equal
// requirements have equal names.
func messageNames(m member) []string {
	elements, isArray := m.value.val.(array)
	if !isArray {
		elements = array{m.value}
	}
	names := make([]string, len(elements))
	for i, e := range elements {
		texts := map[string]string{}
		for _, inner := range e.val.(object) {
			texts[inner.name], _ = inner.value.val.(string)
		}
		if m.name == "same" {
			names[i] = fmt.Sprintf("same(%s, %s)", texts["field"], cmp.Or(texts["claim"], texts["namedClaim"]))
		} else {
			names[i] = fmt.Sprintf("relation(%s, %s)", texts["relation"], texts["object"])
		}
	}
	return names
}

package auth0grpc

import (
	"slices"
	"strings"
)

// Same returns the rule with a requirement on the request message: the field must equal
// the claim, byte for byte. A scope tells which methods the client may call; Same tells
// for whose records (OWASP API1:2023, broken object level authorization).
//
//	auth0grpc.Scopes("read:orders").Same("org_id", auth0grpc.ClaimOrganization)
//
// field is the name in the .proto file, and "customer.id" is a field of a message in the
// request. The field must be a string or an integer, whose decimal form is compared. Of a
// repeated field every element must be equal. An unset or empty field, and a token
// without the claim, are refused with [ReasonNotOwner]. Several calls of Same add
// requirements.
//
// On a stream the first message must meet the requirement, and each later one that sets
// the field. It applies to the whole rule of a row. [New] refuses it on [Public] and
// [Optional]. [Interceptor.CheckServices] reports fields that the request does not have.
// [Interceptor.AuthFunc] sees no messages, so it refuses the calls of such a row.
func (r Rule) Same(field string, claim Claim) Rule {
	r.same = append(slices.Clip(r.same), sameRule{field, claim})
	return r
}

// Relation returns the rule with a requirement on the request message: the caller must
// have the relation to the object. [Config.RelationChecker] answers that.
//
//	auth0grpc.Scopes("read:orders").Relation("viewer", "order:{order_id}")
//
// object is a template: a type, ":", and an id with fields of the request in braces.
// Fields are named as in [Rule.Same]. If one of them is repeated, the caller needs the
// relation to the object of every element, at most 50. A refused call has
// [ReasonNoRelation]. So has one whose field is unset or empty, is longer than 256 bytes
// in the object, or contains ":", "#", "*", "@", white space or a control character: the
// checker does not receive those. A template of two fields also refuses values that
// contain the text between the two. Several calls of Relation add requirements.
//
// The remarks of [Rule.Same] on streams and rows apply.
func (r Rule) Relation(relation, object string) Rule {
	r.relations = append(slices.Clip(r.relations), relationRule{relation, object})
	return r
}

// HideExistence returns the rule with NotFound as the status of a call that [Rule.Same]
// or [Rule.Relation] refuses, instead of PermissionDenied. The client then cannot tell a
// record of another party from one that does not exist. It applies to the whole rule of
// a row.
func (r Rule) HideExistence() Rule {
	r.hideExistence = true
	return r
}

// NeedsMessage reports whether the rule has [Rule.Same] or [Rule.Relation]. A transport
// that shows no message to [Interceptor.Check] cannot serve its methods.
func (r Rule) NeedsMessage() bool { return r.needsMessage() }

func (r *Rule) needsMessage() bool { return len(r.same)+len(r.relations) > 0 }

// messageModifiers returns the requirements on the message, each after a comma.
func (r *Rule) messageModifiers() string {
	var text strings.Builder
	for _, same := range r.same {
		text.WriteString(", " + same.String())
	}
	for _, relation := range r.relations {
		text.WriteString(", " + relation.String())
	}
	if r.hideExistence {
		text.WriteString(", existence hidden")
	}
	return text.String()
}

// validateMessageRules explains each fault of the requirements on the message.
func (r *Rule) validateMessageRules() []string {
	var reasons []string
	if !r.needsMessage() {
		if r.hideExistence {
			reasons = append(reasons, "HideExistence has no effect without Same or Relation")
		}
		return reasons
	}
	if r.kind == kindPublic || r.kind == kindOptional {
		reasons = append(reasons, "Same and Relation need a token, so they do not go with Public and Optional")
	}
	for i, same := range r.same {
		if reason := same.explain(); reason != "" {
			reasons = append(reasons, "Same: "+reason)
		} else if slices.Contains(r.same[:i], same) {
			reasons = append(reasons, "Same: "+same.String()+" is stated twice")
		}
	}
	for i, relation := range r.relations {
		if reason := relation.explain(); reason != "" {
			reasons = append(reasons, "Relation: "+reason)
		} else if slices.Contains(r.relations[:i], relation) {
			reasons = append(reasons, "Relation: "+relation.String()+" is stated twice")
		}
	}
	return reasons
}

package policy

import (
	"regexp"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

// streamsModifier reads "endAtExpiry", "ignoreExpiry" or {"endAfter": "5m"}.
func streamsModifier(f *faults, path string, n node, rule auth0grpc.Rule) auth0grpc.Rule {
	switch value := n.val.(type) {
	case string:
		switch value {
		case "endAtExpiry":
			return rule.Streams(auth0grpc.EndAtExpiry())
		case "ignoreExpiry":
			return rule.Streams(auth0grpc.IgnoreExpiry())
		}
	case object:
		return rule.Streams(f.endAfter(path, n.offset, value))
	}
	f.add(n.offset, path, `want "endAtExpiry", "ignoreExpiry" or {"endAfter": "5m"}`)
	return rule
}

func (f *faults) endAfter(path string, offset int, members object) auth0grpc.StreamPolicy {
	var policy auth0grpc.StreamPolicy
	isSet := false
	for _, m := range members {
		memberPath := path + memberStep(m.label)
		if m.name != "endAfter" {
			f.add(m.offset, memberPath, `is unknown; want "endAfter"`)
			continue
		}
		isSet = true
		grace, ok := duration(m.value)
		if !ok {
			f.add(m.value.offset, memberPath, `want a duration of at least 1ms, as in "5m" or "1h30m"`)
		}
		policy = auth0grpc.EndAfter(grace)
	}
	if !isSet {
		f.add(offset, path, `want "endAtExpiry", "ignoreExpiry" or {"endAfter": "5m"}`)
	}
	return policy
}

// durationForm is the part of time.ParseDuration's language that a JSON Schema can
// describe without ado: no sign, digits on both sides of a point.
var durationForm = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`)

func duration(n node) (time.Duration, bool) {
	text, ok := n.val.(string)
	if !ok || !durationForm.MatchString(text) {
		return 0, false
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= time.Millisecond
}

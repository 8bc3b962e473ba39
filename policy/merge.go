package policy

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/auth0grpc/auth0grpc"
)

// Merge returns one table with the rows of all. A method that two tables declare
// differently is an error. So is a method that one table declares by name and another,
// differently, by its service ("/pkg.Service/*"): the order of the arguments must not
// decide. Equal declarations may be repeated. All conflicts are reported together, as
// [*Error] values joined by errors.Join; the table is then nil.
func Merge(tables ...map[string]auth0grpc.Rule) (map[string]auth0grpc.Rule, error) {
	merged := map[string]auth0grpc.Rule{}
	var errs faults
	for i, table := range tables {
		for _, key := range slices.Sorted(maps.Keys(table)) {
			for j, other := range tables {
				other, pattern, ok := effective(other, key)
				// Two rows of the same key meet twice; report them once.
				if !ok || j == i || j < i && pattern == key || equalRules(table[key], other) {
					continue
				}
				errs.add(0, key, "is %q in table %d, and %q in table %d%s", table[key], i+1, other, j+1, viaPattern(pattern, key))
			}
			merged[key] = table[key]
		}
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	return merged, nil
}

// effective returns the row of a table that decides for a key, and its own key.
func effective(table map[string]auth0grpc.Rule, key string) (rule auth0grpc.Rule, pattern string, ok bool) {
	for _, pattern := range []string{key, key[:strings.LastIndexByte(key, '/')+1] + "*"} {
		if rule, ok := table[pattern]; ok {
			return rule, pattern, true
		}
	}
	return auth0grpc.Rule{}, "", false
}

func viaPattern(pattern, key string) string {
	if pattern == key {
		return ""
	}
	return fmt.Sprintf(" by %s", pattern)
}

// equalRules reports whether two rules say the same in the same words. A rule that is
// faulty is like no other.
func equalRules(a, b auth0grpc.Rule) bool {
	textA, errA := a.MarshalJSON()
	textB, errB := b.MarshalJSON()
	return errA == nil && errB == nil && bytes.Equal(textA, textB) && a.String() == b.String()
}

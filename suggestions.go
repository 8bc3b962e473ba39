package auth0grpc

import (
	"fmt"
	"slices"
	"strings"
)

// wildcardsFor returns the wildcards of the services of sorted full methods.
func wildcardsFor(fullMethods []string) []string {
	wildcards := make([]string, len(fullMethods))
	for i, name := range fullMethods {
		wildcards[i] = name[:strings.LastIndexByte(name, '/')+1] + "*"
	}
	return slices.Compact(wildcards)
}

// maxCompared bounds the candidates that a name is compared with. Without it the time
// for a large table would grow with the square of its size.
const maxCompared = 64

// suggestions finds the names that a name with a slip may mean. If there are more than
// maxCompared candidates, it compares only with some that have a part in common: the
// service, the last component of the service, or the method.
type suggestions struct {
	candidates []string
	byPart     map[string][]string // nil for few candidates
}

func newSuggestions(candidates []string) *suggestions {
	s := &suggestions{candidates: candidates}
	if len(candidates) <= maxCompared {
		return s
	}
	s.byPart = map[string][]string{}
	for _, candidate := range candidates {
		for _, namePart := range nameParts(candidate) {
			if sharing := s.byPart[namePart]; len(sharing) < maxCompared {
				s.byPart[namePart] = append(sharing, candidate)
			}
		}
	}
	return s
}

// nameParts returns the parts of a pattern in lower case: "/service/", "service" without
// its package, and "/method".
func nameParts(pattern string) []string {
	lower := strings.ToLower(pattern)
	slash := strings.LastIndexByte(lower, '/')
	service := lower[:slash+1]
	return []string{service, service[strings.LastIndexByte(service, '.')+1:], lower[slash:]}
}

// didYouMean returns a hint at the candidate that is nearest to name, or "" if none is
// near.
func (s *suggestions) didYouMean(name string) string {
	lower := strings.ToLower(name)
	best, bestDistance := "", max(3, len(name)/5)+1
	compare := func(candidates []string) {
		for _, candidate := range candidates {
			if d := len(name) - len(candidate); d >= bestDistance || -d >= bestDistance {
				continue // the distance is at least that
			}
			if d := editDistance(lower, strings.ToLower(candidate)); d < bestDistance {
				best, bestDistance = candidate, d
			}
		}
	}
	if s.byPart == nil {
		compare(s.candidates)
	} else {
		for _, part := range nameParts(name) {
			compare(s.byPart[part])
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// editDistance counts the insertions, deletions and substitutions of bytes that turn a
// into b (Levenshtein). It computes one row of the matrix at a time.
func editDistance(a, b string) int {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	distances := make([]int, len(b)+1)
	for j := range distances {
		distances[j] = j
	}
	for i := range len(a) {
		diagonal := distances[0]
		distances[0] = i + 1
		for j := range len(b) {
			substitution := diagonal
			if a[i] != b[j] {
				substitution++
			}
			diagonal = distances[j+1]
			distances[j+1] = min(substitution, distances[j]+1, distances[j+1]+1)
		}
	}
	return distances[len(b)]
}

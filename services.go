package auth0grpc

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"
)

// CheckServices compares the table with what a server has registered, and
// returns everything that does not fit in one error: methods without a row,
// which every call would be refused, and rows and wildcards that match no
// method, with the name that was probably meant. Call it once, after the last
// Register and before Serve:
//
//	if err := guard.CheckServices(server.GetServiceInfo()); err != nil { log.Fatal(err) }
//
// Services that gRPC brings itself, such as health and reflection, count like
// any other (see HealthService).
func (i *Interceptor) CheckServices(services map[string]grpc.ServiceInfo) error {
	methods := i.table.Load()
	if methods == nil {
		return ErrUnlistedMethod
	}
	registered := map[string]bool{} // full method: whether it has a row
	used := map[*row]bool{}
	for service, info := range services {
		// A wildcard whose methods all have rows of their own is a default for those
		// to come, and not idle.
		used[methods.services["/"+service+"/"]] = len(info.Methods) > 0
		for _, method := range info.Methods {
			fullMethod := "/" + service + "/" + method.Name
			r := methods.lookup(fullMethod)
			registered[fullMethod] = r != nil
			used[r] = true
		}
	}
	var idle []string // patterns that match nothing
	for _, r := range methods.rows() {
		if !used[r] {
			idle = append(idle, r.pattern)
		}
	}
	var faults []error
	for _, fullMethod := range slices.Sorted(maps.Keys(registered)) {
		if !registered[fullMethod] {
			faults = append(faults, fmt.Errorf("auth0grpc: %s is registered but has no row, so every call is refused%s", fullMethod, nearest(fullMethod, idle)))
		}
	}
	for _, pattern := range idle {
		faults = append(faults, fmt.Errorf("auth0grpc: row %s matches no registered method%s", pattern, nearest(pattern, namesLike(pattern, registered))))
	}
	return errors.Join(faults...)
}

// namesLike returns what a pattern could have been meant for: the registered
// methods, or for a wildcard the registered services as wildcards.
func namesLike(pattern string, registered map[string]bool) []string {
	names := slices.Sorted(maps.Keys(registered))
	if !strings.HasSuffix(pattern, "*") {
		return names
	}
	for i, name := range names {
		names[i] = name[:strings.LastIndexByte(name, '/')+1] + "*"
	}
	return slices.Compact(names)
}

// nearest returns a hint at the candidate that name is a slip of, or "".
func nearest(name string, candidates []string) string {
	best, bestDistance := "", max(3, len(name)/5)+1
	for _, candidate := range candidates {
		if d := editDistance(strings.ToLower(name), strings.ToLower(candidate)); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// editDistance counts the insertions, deletions and substitutions of bytes that
// make a into b (Levenshtein), one row of the matrix at a time.
func editDistance(a, b string) int {
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

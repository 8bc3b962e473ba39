// Package env reads the settings of the examples from the environment.
package env

import (
	"fmt"
	"strings"
)

// Require returns the values of the variables, or one error that names all of
// them that are unset or empty.
func Require(getenv func(string) string, names ...string) (map[string]string, error) {
	values := make(map[string]string, len(names))
	var missing []string
	for _, name := range names {
		values[name] = getenv(name)
		if values[name] == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("set in the environment: %s (see examples/README.md)", strings.Join(missing, ", "))
	}
	return values, nil
}

package auth0grpc

import (
	"slices"
	"strconv"
	"time"
)

// faults returns the faults of the bounds.
func (c RelationConfig) faults() []*ConfigError {
	faults := slices.Concat(tooShort("Relations.Timeout", c.Timeout, time.Millisecond), tooShort("Relations.CacheLifetime", c.CacheLifetime, time.Millisecond))
	if c.Timeout < 0 {
		faults = append(faults, &ConfigError{"Relations.Timeout", c.Timeout.String(), "want a positive duration, or 0 for a second"})
	}
	if c.CacheLifetime < 0 && c.CacheLifetime != NoCache {
		faults = append(faults, &ConfigError{"Relations.CacheLifetime", c.CacheLifetime.String(), "want a positive duration, 0 for 5s, or NoCache"})
	}
	for field, n := range map[string]int{"Relations.CacheSize": c.CacheSize, "Relations.MaxChecks": c.MaxChecks} {
		if n < 0 {
			faults = append(faults, &ConfigError{field, strconv.Itoa(n), "want a positive number, or 0 for the default"})
		}
	}
	return faults
}

// relationFaults returns the faults of rows with a relation if there is no checker.
func (t *table) relationFaults(hasChecker bool) []*ConfigError {
	if hasChecker {
		return nil
	}
	var faults []*ConfigError
	for i := range t.rows {
		if r := &t.rows[i]; len(r.rule.relations) > 0 {
			faults = append(faults, &ConfigError{methodsField(r.pattern), shorten(r.rule.String()), "a Relation needs Config.RelationChecker"})
		}
	}
	return faults
}

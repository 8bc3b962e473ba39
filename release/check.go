package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/mod/semver"
)

// checkRelease returns every reason against releasing the modules at a version,
// joined by errors.Join, or nil.
func checkRelease(root string, modules []module, version string) error {
	if semver.Canonical(version) != version || semver.Compare(version, "v0.0.0") <= 0 {
		return fmt.Errorf("release: version %q: want a full semantic version above v0.0.0, such as v0.1.0", version)
	}
	var errs []error
	for _, m := range modules {
		for path, required := range m.requires() {
			// A consumer does not inherit our replace directives, so the version in the
			// require line must be one that exists after this release.
			if required != version {
				errs = append(errs, fmt.Errorf("release: %s requires %s %s, want %s", m.path(), path, required, version))
			}
		}
		if _, err := git(root, "rev-parse", "--verify", "--quiet", "refs/tags/"+m.tag(version)); err == nil {
			errs = append(errs, fmt.Errorf("release: tag %s exists", m.tag(version)))
		}
	}
	changelog, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	heading := regexp.MustCompile(`(?m)^## ` + regexp.QuoteMeta(version) + ` - \d{4}-\d{2}-\d{2}$`)
	if !heading.Match(changelog) {
		errs = append(errs, fmt.Errorf("release: CHANGELOG.md has no heading \"## %s - YYYY-MM-DD\"", version))
	}
	return errors.Join(errs...)
}

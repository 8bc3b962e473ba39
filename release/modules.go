package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

const rootPath = "github.com/auth0grpc/auth0grpc"

// unreleased are the modules that no user imports. They exist to keep their
// dependencies out of the others.
var unreleased = []string{
	"benchmarks",             // figures
	"examples/doors",         // a program to read and copy
	"examples/observability", // another
	"integration",            // tests against software of others
	"policy/schematest",      // tests of the JSON schema
	"release",                // this command
}

// A module is one released module of the repository.
type module struct {
	dir  string // slash-separated, from the root; "" for the root module
	file *modfile.File
}

func (m module) path() string { return path.Join(rootPath, m.dir) }

// tag returns the name of the git tag that publishes the module at a version.
func (m module) tag(version string) string { return path.Join(m.dir, version) }

// requires returns the versions of our own modules that the module requires.
func (m module) requires() map[string]string {
	versions := map[string]string{}
	for _, r := range m.file.Require {
		if r.Mod.Path == rootPath || strings.HasPrefix(r.Mod.Path, rootPath+"/") {
			versions[r.Mod.Path] = r.Mod.Version
		}
	}
	return versions
}

// loadModules returns the released modules, each after those that it requires.
func loadModules(root string) ([]module, error) {
	files, err := git(root, "ls-files", "*go.mod")
	if err != nil {
		return nil, err
	}
	var pending []module
	for name := range strings.SplitSeq(files, "\n") {
		dir := path.Dir(name)
		if slices.Contains(unreleased, dir) {
			continue
		}
		m := module{dir: strings.TrimPrefix(dir, ".")}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		if m.file, err = modfile.Parse(name, text, nil); err != nil {
			return nil, err
		}
		if declared := m.file.Module.Mod.Path; declared != m.path() {
			return nil, fmt.Errorf("release: %s declares module %s, want %s", name, declared, m.path())
		}
		pending = append(pending, m)
	}
	return sortByRequirement(pending)
}

// sortByRequirement orders modules so that a tag never requires a later one.
func sortByRequirement(pending []module) ([]module, error) {
	var sorted []module
	for len(pending) > 0 {
		next := slices.IndexFunc(pending, func(m module) bool {
			return !slices.ContainsFunc(pending, func(other module) bool {
				_, ok := m.requires()[other.path()]
				return ok
			})
		})
		if next < 0 {
			return nil, fmt.Errorf("release: the modules require each other in a circle: %s", pending[0].path())
		}
		sorted = append(sorted, pending[next])
		pending = slices.Delete(pending, next, next+1)
	}
	return sorted, nil
}

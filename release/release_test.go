package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"
)

func parseModule(t *testing.T, dir, requires string) module {
	t.Helper()
	m := module{dir: dir}
	file, err := modfile.Parse("go.mod", []byte("module "+m.path()+"\n\nrequire (\n"+requires+"\n)\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	m.file = file
	return m
}

func dirs(modules []module) []string {
	var names []string
	for _, m := range modules {
		names = append(names, m.dir)
	}
	return names
}

func TestSortByRequirement(t *testing.T) {
	const redis, events = rootPath + "/auth0grpcredis v0.1.0", rootPath + "/auth0grpcevents v0.1.0"
	sorted, err := sortByRequirement([]module{
		parseModule(t, "auth0grpcevents", redis),
		parseModule(t, "auth0grpcredis", rootPath+" v0.1.0"),
		parseModule(t, "", "google.golang.org/grpc v1.85.0"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"", "auth0grpcredis", "auth0grpcevents"}, dirs(sorted)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if _, err := sortByRequirement([]module{
		parseModule(t, "auth0grpcevents", redis),
		parseModule(t, "auth0grpcredis", events),
	}); err == nil {
		t.Error("modules that require each other are sorted without an error")
	}
}

func TestCheckRelease(t *testing.T) {
	root := t.TempDir()
	if _, err := git(root, "init", "--quiet"); err != nil {
		t.Fatal(err)
	}
	changelog := "# Changelog\n\n## v0.1.0 - 2026-11-27\n"
	if err := os.WriteFile(filepath.Join(root, "CHANGELOG.md"), []byte(changelog), 0o644); err != nil {
		t.Fatal(err)
	}
	modules := []module{
		parseModule(t, "", "google.golang.org/grpc v1.85.0"),
		parseModule(t, "auth0grpcredis", rootPath+" v0.1.0"),
	}
	for _, test := range []struct {
		name, version string
		want          []string // parts of the error; none: ready
	}{
		{"ready", "v0.1.0", nil},
		{"not a version", "0.1.0", []string{"want a full semantic version"}},
		{"short version", "v0.1", []string{"want a full semantic version"}},
		{"placeholder", "v0.0.0", []string{"want a full semantic version"}},
		{"other version", "v0.2.0", []string{
			"auth0grpcredis requires github.com/auth0grpc/auth0grpc v0.1.0, want v0.2.0",
			`CHANGELOG.md has no heading "## v0.2.0 - YYYY-MM-DD"`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := checkRelease(root, modules, test.version)
			if (err == nil) != (test.want == nil) {
				t.Fatalf("checkRelease: %v, want parts %q", err, test.want)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("checkRelease: %v\nlacks %q", err, part)
				}
			}
		})
	}
}

// The repository itself: every released module has real versions of the others.
func TestRepositoryIsReady(t *testing.T) {
	root, err := git(".", "rev-parse", "--show-toplevel")
	if err != nil {
		t.Fatal(err)
	}
	modules, err := loadModules(root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"", "auth0grpcconnect", "auth0grpcfga", "auth0grpcotel", "auth0grpcredis", "buf-plugin-auth0grpc"}, dirs(modules)); diff != "" {
		t.Errorf("released modules (-want +got):\n%s", diff)
	}
	version := candidate(t, modules)
	for _, m := range modules {
		for path, required := range m.requires() {
			if required != version {
				t.Errorf("%s requires %s %s, want %s", m.path(), path, required, version)
			}
		}
	}
}

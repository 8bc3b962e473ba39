package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// candidate is the version under which the test releases the checked-out commit:
// the one that the modules require of each other.
func candidate(t *testing.T, modules []module) string {
	t.Helper()
	for _, m := range modules {
		for _, version := range m.requires() {
			return version
		}
	}
	t.Fatal("no module requires another")
	return ""
}

// A consumer is a module in a folder of its own, without replace directives,
// whose go command finds our modules in a proxy made of the checked-out commit.
type consumer struct {
	t   *testing.T
	dir string
	env []string
}

func newConsumer(t *testing.T, proxy string) *consumer {
	t.Helper()
	downloads := strings.TrimSpace(run(t, ".", nil, "go", "env", "GOMODCACHE"))
	registries := strings.TrimSpace(run(t, ".", nil, "go", "env", "GOPROXY"))
	c := &consumer{t: t, dir: t.TempDir()}
	c.env = append(os.Environ(),
		"GOWORK=off",
		"GOFLAGS=-mod=mod -modcacherw",
		// A separate module cache, so that the candidate's version does not stay in the
		// machine's. Everything else comes from the machine's cache, if it can.
		"GOMODCACHE="+t.TempDir(),
		"GOPROXY=file://"+proxy+",file://"+filepath.Join(downloads, "cache", "download")+","+registries,
		"GONOSUMDB="+rootPath+","+rootPath+"/*",
	)
	c.run("go", "mod", "init", "consumer.example")
	return c
}

func (c *consumer) run(name string, args ...string) string {
	c.t.Helper()
	return run(c.t, c.dir, c.env, name, args...)
}

func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	command := exec.Command(name, args...)
	command.Dir, command.Env = dir, env
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// copyTree copies Go files and replaces text in them.
func (c *consumer) copyTree(from, to string, replacer *strings.Replacer) {
	c.t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return c.write(filepath.Join(to, name), replacer.Replace(string(text)))
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *consumer) write(name, text string) error {
	name = filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// The README's instructions work for a module outside this repository: go get of every
// module, the README's program, the command, and a test against the test tenant.
func TestConsumer(t *testing.T) {
	if testing.Short() {
		t.Skip("builds every module and its dependencies again")
	}
	root, err := git(".", "rev-parse", "--show-toplevel")
	if err != nil {
		t.Fatal(err)
	}
	modules, err := loadModules(root)
	if err != nil {
		t.Fatal(err)
	}
	version, proxy := candidate(t, modules), t.TempDir()
	if err := writeProxy(root, proxy, modules, version); err != nil {
		t.Fatal(err)
	}
	c := newConsumer(t, proxy)
	for _, m := range modules {
		c.run("go", "get", m.path()+"@"+version)
	}

	c.copyTree(filepath.Join(root, "examples", "minimal"), "minimal", strings.NewReplacer(rootPath+"/examples/internal", "consumer.example"))
	c.copyTree(filepath.Join(root, "examples", "internal", "orders"), "orders", strings.NewReplacer(rootPath+"/examples/internal", "consumer.example"))
	test, err := os.ReadFile(filepath.Join("testdata", "consumer", "guard_test.go.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.write("guard_test.go", string(test)); err != nil {
		t.Fatal(err)
	}
	c.run("go", "mod", "tidy")
	c.run("go", "vet", "./...")
	c.run("go", "test", "./...")
	if got := strings.TrimSpace(c.run("go", "run", rootPath+"/cmd/auth0grpc@"+version, "-version")); got != "auth0grpc "+version {
		t.Errorf("auth0grpc -version prints %q, want %q", got, "auth0grpc "+version)
	}
	gomod, err := os.ReadFile(filepath.Join(c.dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(gomod, []byte("replace")) {
		t.Errorf("the consumer's go.mod has a replace directive:\n%s", gomod)
	}
}

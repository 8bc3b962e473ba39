package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	modversion "golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

// writeProxy writes the modules, as they are in the commit that is checked out,
// into dir in the layout of a Go module proxy (GOPROXY=file://dir). The zips are
// made by the rules of the go command, so a file that it would refuse is an error.
func writeProxy(root, dir string, modules []module, version string) error {
	tree, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	archive := filepath.Join(tree, "tree.tar")
	if _, err := git(root, "archive", "--output", archive, "HEAD"); err != nil {
		return err
	}
	if out, err := exec.Command("tar", "-xf", archive, "-C", tree).CombinedOutput(); err != nil {
		return fmt.Errorf("release: tar: %w\n%s", err, out)
	}
	if err := os.Remove(archive); err != nil {
		return err
	}
	for _, m := range modules {
		escaped, err := modversion.EscapePath(m.path())
		if err != nil {
			return err
		}
		base := filepath.Join(dir, filepath.FromSlash(escaped), "@v")
		if err := os.MkdirAll(base, 0o755); err != nil {
			return err
		}
		source := filepath.Join(tree, filepath.FromSlash(m.dir))
		gomod, err := os.ReadFile(filepath.Join(source, "go.mod"))
		if err != nil {
			return err
		}
		for name, text := range map[string]string{
			"list":            version + "\n",
			version + ".info": fmt.Sprintf("{\"Version\":%q,\"Time\":\"2026-01-01T00:00:00Z\"}\n", version),
			version + ".mod":  string(gomod),
		} {
			if err := os.WriteFile(filepath.Join(base, name), []byte(text), 0o644); err != nil {
				return err
			}
		}
		if err := writeZip(filepath.Join(base, version+".zip"), source, modversion.Version{Path: m.path(), Version: version}); err != nil {
			return err
		}
	}
	return nil
}

func writeZip(name, source string, m modversion.Version) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := modzip.CreateFromDir(file, m, source); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// Command release checks the repository for a release and tags its modules.
//
//	go run . v0.1.0        # checks alone
//	go run . -tag v0.1.0   # checks, then creates the tags
//
// All released modules share one version. The root module is tagged "v0.1.0", a
// module in a folder "auth0grpcredis/v0.1.0", each after the modules that it
// requires. Pushing the tags stays a decision of the maintainer; the command
// prints the line. It needs git and reads the commit that is checked out.
//
// The exit status is 1 if the repository is not ready, and 2 for wrong arguments.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

func main() {
	tag := flag.Bool("tag", false, "create the tags if every check passes")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: go run . [-tag] VERSION")
		os.Exit(2)
	}
	if err := release(flag.Arg(0), *tag); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func release(version string, tag bool) error {
	root, err := git(".", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	modules, err := loadModules(root)
	if err != nil {
		return err
	}
	if err := checkRelease(root, modules, version); err != nil {
		return err
	}
	var tags []string
	for _, m := range modules {
		tags = append(tags, m.tag(version))
	}
	if !tag {
		fmt.Printf("ready; -tag creates, in this order: %s\n", strings.Join(tags, " "))
		return nil
	}
	if status, err := git(root, "status", "--porcelain"); err != nil || status != "" {
		return fmt.Errorf("release: the working tree has changes that are not committed:\n%s", status)
	}
	for _, name := range tags {
		if _, err := git(root, "tag", "--annotate", "--message", name, name); err != nil {
			return err
		}
	}
	fmt.Printf("tagged; publish with: git push --atomic origin %s\n", strings.Join(tags, " "))
	return nil
}

// git runs git in dir and returns its output without the final line break.
func git(dir string, args ...string) (string, error) {
	command := exec.Command("git", args...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("release: git %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimRight(string(out), "\n"), nil
}

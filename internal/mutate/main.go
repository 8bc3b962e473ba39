// Command mutate changes single expressions and statements of Go files and runs
// the tests of their package for each change. It prints every change that no test
// notices.
//
//	go run ./internal/mutate [-run regexp] [-constants] [-v] FILE[:FROM-TO] …
//
// All files belong to one package. FROM and TO are lines. Conditions become true
// or false, comparisons move by one, results are negated, and statements are
// dropped. All of these are compiled once, into one test binary, and an environment
// variable selects one. -constants changes integer literals instead, with a build
// for each. Files on disk are not touched.
//
// A survivor is a missing test, or a change that no test can notice: one that has
// the same effect (equivalent), costs time only (performance), or changes a text.
// The exit status is 1 if there are survivors.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/progress"
)

func main() {
	var r runner
	flag.StringVar(&r.tests, "run", "", "run only the tests that match this `regexp`")
	flag.BoolVar(&r.constants, "constants", false, "change integer literals, one build each")
	flag.BoolVar(&r.verbose, "v", false, "print killed mutants too, with the first test that failed")
	flag.Parse()
	r.out, r.line = os.Stdout, progress.New(os.Stderr)
	survivors, err := r.run(flag.Args())
	r.line.Clear()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
	if survivors > 0 {
		os.Exit(1)
	}
}

// A runner holds the command line's settings, and a folder for its builds.
type runner struct {
	tests              string
	constants, verbose bool
	out                io.Writer
	line               *progress.Line

	dir     string // of the package
	tmp     string
	timeout time.Duration // of one run
}

// run mutates the files and returns the number of survivors.
func (r *runner) run(args []string) (survivors int, err error) {
	if len(args) == 0 {
		return 0, errors.New("no file given")
	}
	if r.tmp, err = os.MkdirTemp("", "mutate"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(r.tmp)
	var files []*file
	for _, arg := range args {
		f, err := readFile(arg)
		if err != nil {
			return 0, err
		}
		files = append(files, f)
	}
	r.dir = filepath.Dir(files[0].path)
	number := 0
	for _, f := range files {
		if f.constants = r.constants; f.constants {
			f.findConstants()
		} else {
			f.findMutants(&number)
		}
	}
	if err := r.build(files, nil); err != nil {
		return 0, err
	}
	start := time.Now()
	r.timeout = 10 * time.Minute
	if failed, err := r.test(0); err != nil || failed != "" {
		return 0, fmt.Errorf("the tests fail without any change: %v %v", failed, err)
	}
	r.timeout = 20*time.Second + 3*time.Since(start)
	killed, broken := 0, 0
	for _, f := range files {
		for i, m := range f.mutants {
			r.line.Step("%s, change %d of %d", f.name, i+1, len(f.mutants))
			if r.constants && r.build(files, m) != nil {
				broken++ // overflows, or an index out of range
				continue
			}
			failed, err := r.test(m.number)
			if err != nil {
				return survivors, err
			}
			if failed == "" {
				survivors++
				r.print("%s:%d: %s\n", f.name, m.line, m.what)
				continue
			}
			killed++
			if r.verbose {
				r.print("%s:%d: %s: killed by %s\n", f.name, m.line, m.what, failed)
			}
		}
	}
	r.print("%d killed, %d survived, %d did not compile\n", killed, survivors, broken)
	return survivors, nil
}

// print prints a result in place of the progress.
func (r *runner) print(format string, args ...any) {
	r.line.Clear()
	fmt.Fprintf(r.out, format, args...)
}

// variable is the environment variable that selects a mutant by its number.
const variable = "AUTH0GRPC_MUTANT"

// switches is the source of the function that mutated conditions call.
const switches = `package %s

import (
	"os"
	"strconv"
)

var mutantNumber, _ = strconv.Atoi(os.Getenv("` + variable + `"))

func mutantOn(number int) bool { return mutantNumber == number }
`

// build compiles the tests with all switched mutants, or with one constant.
func (r *runner) build(files []*file, constant *mutant) error {
	replace := map[string]string{}
	add := func(path, text string) error {
		copied := filepath.Join(r.tmp, filepath.Base(path))
		replace[path] = copied
		return os.WriteFile(copied, []byte(text), 0o600)
	}
	for _, f := range files {
		if err := add(f.path, f.mutated(constant)); err != nil {
			return err
		}
	}
	if err := add(filepath.Join(r.dir, "zz_mutant.go"), fmt.Sprintf(switches, files[0].pkg)); err != nil {
		return err
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	overlay := filepath.Join(r.tmp, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return err
	}
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", filepath.Join(r.tmp, "mutated.test"), ".")
	build.Dir = r.dir
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

var failedTest = regexp.MustCompile(`(?m)^--- FAIL: (\S+)|^panic: (.*)`)

// test runs the tests with one mutant, and returns the first failure, or "".
func (r *runner) test(number int) (failed string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	run := exec.CommandContext(ctx, filepath.Join(r.tmp, "mutated.test"), "-test.short", "-test.failfast", "-test.run="+r.tests)
	run.Dir = r.dir
	run.WaitDelay = time.Second
	run.Env = append(os.Environ(), variable+"="+strconv.Itoa(number))
	out, err := run.CombinedOutput()
	if err == nil {
		return "", nil
	}
	if ctx.Err() != nil {
		return "the time limit", nil
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		return "", err
	}
	if found := failedTest.FindStringSubmatch(string(out)); found != nil {
		return strings.Join(slices.DeleteFunc(found[1:], func(s string) bool { return s == "" }), " "), nil
	}
	return "exit status", nil
}

package integration

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

var update = flag.Bool("update", false, "write the generated documents")

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(doorsDir) // "" if no test built it
	printSummary()
	os.Exit(code)
}

// need returns the path of a program of others, or skips the test. The script
// run, which has installed all of them, sets INTEGRATION_STRICT: there a missing
// one is a failure.
func need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missing(t, program+" is not installed")
	}
	return path
}

// needNode is need for a script under node/ and the packages that it uses.
func needNode(t testing.TB) string {
	t.Helper()
	node := need(t, "node")
	if _, err := os.Stat("node/node_modules"); err != nil {
		missing(t, "the packages of node/package.json are not installed")
	}
	return node
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("INTEGRATION_STRICT") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// document compares a generated document with the committed one.
func document(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("..", "docs", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(committed) != text {
		t.Errorf("docs/%s differs from what was found; go test -update writes it anew. Found:\n%s", name, text)
	}
}

// The summary table: the result line of each test, printed at the end.
var summary struct {
	mu   sync.Mutex
	rows []string
}

// summarize adds a line to the summary table once the test has ended.
func summarize(t *testing.T, format string, args ...any) {
	t.Helper()
	note := fmt.Sprintf(format, args...)
	t.Cleanup(func() {
		outcome := "ok"
		if t.Failed() {
			outcome = "FAILED"
		}
		summary.mu.Lock()
		defer summary.mu.Unlock()
		summary.rows = append(summary.rows, strings.Join([]string{strings.TrimPrefix(t.Name(), "Test"), outcome, note}, "\t"))
	})
}

func printSummary() {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "\nSUMMARY\ntest\toutcome\twhat was found")
	for _, row := range summary.rows {
		fmt.Fprintln(out, row)
	}
	_ = out.Flush()
}

// eventually polls until condition holds, and fails the test if it does not within
// patience.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/auth0grpc/auth0grpc/policy"
	auth0grpcv1 "github.com/auth0grpc/auth0grpc/proto/auth0grpc/v1"
)

var update = flag.Bool("update", false, "write the files in testdata anew")

// golden compares a text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s; go test -update ./cmd/auth0grpc writes it anew (-want +got):\n%s", name, diff)
	}
}

const diffOld, diffNew = "testdata/diff/old.json", "testdata/diff/new.json"

// All methods of the change that are looser.
const diffLooser = "/orders.v1.Orders/Refund,/orders.v1.Orders/Export /orders.v1.Admin/Reset"

func TestDiffOutput(t *testing.T) {
	for _, test := range []struct {
		golden string
		args   []string
		status int
	}{
		{"diff/text", nil, exitFaults},
		{"diff/allowed", []string{"-allow", diffLooser}, exitOK},
		{"diff/json", []string{"-json", "-allow", "/orders.v1.Admin/Reset"}, exitFaults},
		{"diff/markdown", []string{"-markdown", "-allow", "/orders.v1.Admin/Reset", "-allow", "/orders.v1.Orders/Get"}, exitFaults},
	} {
		t.Run(test.golden, func(t *testing.T) {
			status, stdout, stderr := command(t, nil, append(append([]string{"diff"}, test.args...), diffOld, diffNew)...)
			if status != test.status || stderr != "" {
				t.Errorf("status %d, want %d; stderr %q", status, test.status, stderr)
			}
			golden(t, test.golden+".golden", stdout)
		})
	}
}

// Colours are for terminals, and only add to the text.
func TestDiffColors(t *testing.T) {
	report, err := compareFiles(t.Context(), diffOld, diffNew, []string{"/orders.v1.Admin/Reset"})
	if err != nil {
		t.Fatal(err)
	}
	var plain, colored bytes.Buffer
	if err := report.writeText(&plain, false); err != nil {
		t.Fatal(err)
	}
	if err := report.writeText(&colored, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{colorRed + "looser" + colorNone, colorYellow + "both (allowed)" + colorNone} {
		if !strings.Contains(colored.String(), want) {
			t.Errorf("has no %q:\n%q", want, colored.String())
		}
	}
	text := colored.String()
	for _, color := range []string{colorRed, colorGreen, colorYellow, colorNone} {
		text = strings.ReplaceAll(text, color, "")
	}
	if diff := cmp.Diff(plain.String(), text); diff != "" {
		t.Errorf("the text differs (-plain +coloured):\n%s", diff)
	}
	terminal, err := os.Open(os.DevNull) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	regular, err := os.Open(diffOld)
	if err != nil {
		t.Fatal(err)
	}
	defer regular.Close()
	environment := func(pairs map[string]string) func(string) string {
		return func(name string) string { return pairs[name] }
	}
	if !wantsColor(terminal, environment(nil)) {
		t.Error("no colours on a terminal")
	}
	if wantsColor(terminal, environment(map[string]string{"NO_COLOR": "1"})) || wantsColor(terminal, environment(map[string]string{"TERM": "dumb"})) {
		t.Error("colours in spite of NO_COLOR or a dumb terminal")
	}
	if wantsColor(regular, environment(nil)) || wantsColor(&plain, environment(nil)) {
		t.Error("colours in a file")
	}
}

func TestDiffStatus(t *testing.T) {
	same := file(t, `{"methods": {"/a.B/C": {"public": true}}}`)
	faulty := file(t, "{\"methods\": {\n  \"/a.B/C\": {\"scopes\": [\"\"]},\n  \"x\": {\"public\": true}}}")
	lineFeed := file(t, "\n{\"methods\": {\"/a.B/C\": {\"public\": true}}}")
	for _, test := range []statusTest{
		{"same", []string{"diff", same, same}, exitOK, "1 equal"},
		{"a document that begins with a line feed", []string{"diff", same, lineFeed}, exitOK, "1 equal"},
		{"no rows", []string{"diff", file(t, `{"methods": {}}`), file(t, `{"methods": {}}`)}, exitOK, "no methods"},
		{"descriptor set", []string{"diff", shopSet, shopSet}, exitOK, "20 equal"},
		{"help", []string{"diff", "-h"}, exitOK, "OLD NEW"},
		{"one argument", []string{"diff", same}, exitUsage, "want two arguments"},
		{"flag after the arguments", []string{"diff", same, same, "-json"}, exitUsage, "want two arguments"},
		{"two formats", []string{"diff", "-json", "-markdown", same, same}, exitUsage, "want one of"},
		{"unknown flag", []string{"diff", "-x", same, same}, exitUsage, "-x"},
		{"no such file", []string{"diff", same, "no/such/file"}, exitUsage, "no/such/file"},
		{"no such revision", []string{"diff", same, "no-such-revision:policy.json"}, exitUsage, "git cannot read it"},
		{"-allow of another method", []string{"diff", "-allow", "/a.B/D", same, same}, exitOK, "note  -allow /a.B/D: the method is not looser"},
		{"faults of the old table", []string{"diff", faulty, same}, exitUsage, faulty + ":2:25: $.methods[\"/a.B/C\"].scopes[0]: is empty\n" + faulty + ":3:3: $.methods.x: is not a full method"},
		{"faults of the new table", []string{"diff", same, faulty}, exitUsage, faulty + ":3:3: "},
		{"no policy", []string{"diff", same, file(t, "\x00")}, exitUsage, "is not JSON"},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, nil) })
	}
	// Each fault of both tables is there.
	_, _, stderr := command(t, nil, "diff", faulty, faulty)
	if n := strings.Count(stderr, faulty+":"); n != 4 {
		t.Errorf("%d faults, want 4:\n%s", n, stderr)
	}
}

// The options of .proto files are compared as JSON is.
func TestDiffDescriptors(t *testing.T) {
	set := func(scopes ...string) string {
		f := newFile("a")
		proto.SetExtension(f.Service[0].Method[0].Options, auth0grpcv1.E_Rule, &auth0grpcv1.Rule{Scopes: scopes})
		return writeSet(t, f)
	}
	for _, test := range []statusTest{
		{"looser", []string{"diff", set("r", "w"), set("r")}, exitFaults, "looser  /a.S/Do"},
		{"tighter", []string{"diff", set("r"), set("r", "w")}, exitOK, "tighter  /a.S/Do"},
		{"as JSON", []string{"diff", set("r"), file(t, `{"methods": {"/a.S/Do": {"anyScope": ["r"]}}}`)}, exitOK, "1 equal"},
		{"faulty", []string{"diff", set("r"), set("")}, exitUsage, "a.S.Do(auth0grpc.v1.rule)"},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, nil) })
	}
}

// Each side may be in a revision of a Git repository.
func TestDiffRevisions(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	git := func(args ...string) {
		t.Helper()
		args = append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"}, args...)
		if output, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, output)
		}
	}
	write := func(scopes string) {
		t.Helper()
		if err := os.WriteFile("policy.json", []byte(`{"methods": {"/a.B/C": {"scopes": [`+scopes+`]}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "--quiet", "--initial-branch=main")
	write(`"a", "b"`)
	git("add", "policy.json")
	git("commit", "--quiet", "--message=first")
	write(`"a"`)
	git("commit", "--quiet", "--all", "--message=second")
	write(`"a", "b", "c"`)
	for _, test := range []statusTest{
		{"revisions", []string{"diff", "main~1:policy.json", "main:policy.json"}, exitFaults, "looser  /a.B/C"},
		{"revision and file", []string{"diff", "HEAD:policy.json", "policy.json"}, exitOK, "tighter  /a.B/C"},
		{"file and revision", []string{"diff", "policy.json", "HEAD:./policy.json"}, exitFaults, "looser  /a.B/C"},
		{"no such file", []string{"diff", "HEAD:other.json", "policy.json"}, exitUsage, "HEAD:other.json"},
		{"a folder", []string{"diff", "HEAD:", "policy.json"}, exitUsage, "HEAD:"},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, nil) })
	}
}

// Names cannot leave their cell of a Markdown table.
func TestMarkdownCode(t *testing.T) {
	for text, want := range map[string]string{
		"read": "`read`", "a|b": "`a\\|b`", "`": "`` ` ``", "a``b`": "``` a``b` ```",
	} {
		if got := markdownCode(text); got != want {
			t.Errorf("markdownCode(%q) = %q, want %q", text, got, want)
		}
	}
	if got, want := markdownText("scope a|b <c> [d](e) `f`"), "scope a\\|b \\<c\\> \\[d\\]\\(e\\) \\`f\\`"; got != want {
		t.Errorf("markdownText = %q, want %q", got, want)
	}
	var e diffEntry
	if e.Change = policy.Undecided; !e.needsReview() {
		t.Error("an undecided method needs no review")
	}
}

// docs/changing-a-policy.md shows the output and the workflow as they are.
func TestDiffPage(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	page := read("../../docs/changing-a-policy.md")
	for _, text := range []string{
		"```text\n" + read("testdata/diff/text.golden") + "```", "```yaml\n" + read("../../examples/policy-gate/policy.yml") + "```",
	} {
		if !strings.Contains(page, text) {
			t.Errorf("docs/changing-a-policy.md does not have\n%s", text)
		}
	}
}

package auth0grpc_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// Every Go block of the README and of docs/ stands, line by line, in a Go file
// that is compiled: an example or a test.
func TestDocumentedCodeIsCompiled(t *testing.T) {
	var compiled []string
	for _, glob := range []string{"examples/*/*.go", "*_test.go", "*/*_test.go"} {
		paths, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			compiled = append(compiled, flatten(read(t, path)))
		}
	}
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```go\n(.*?)```")
	for _, page := range append(pages, "README.md") {
		for _, match := range block.FindAllStringSubmatch(read(t, page), -1) {
			code := flatten(match[1])
			if !slices.ContainsFunc(compiled, func(source string) bool { return strings.Contains(source, code) }) {
				t.Errorf("%s: no example or test has this code:\n%s", page, match[1])
			}
		}
	}
}

// Every link of the README and of docs/ into the repository leads somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, page := range append(pages, "README.md", "SECURITY.md", "CONTRIBUTING.md", "examples/README.md") {
		for _, match := range link.FindAllStringSubmatch(read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), match[1])); err != nil {
				t.Errorf("%s: link to %s: %v", page, match[1], err)
			}
		}
	}
}

// The operating page explains every reason that a client can get, with an anchor to link to.
func TestEveryReasonIsExplained(t *testing.T) {
	page := read(t, "docs/operating.md")
	for _, match := range regexp.MustCompile(`Reason = "([A-Z_]+)"`).FindAllStringSubmatch(read(t, "errors.go"), -1) {
		anchor := strings.ReplaceAll(strings.ToLower(match[1]), "_", "-")
		if !strings.Contains(page, "| <a id=\""+anchor+"\"></a>`"+match[1]+"` |") {
			t.Errorf("docs/operating.md does not explain %s", match[1])
		}
	}
}

// The tests that the threat model points to exist.
func TestThreatModelIsProven(t *testing.T) {
	var tests []string
	for _, glob := range []string{"*_test.go", "*/*_test.go", "internal/*/*_test.go", "cmd/*/*_test.go"} {
		paths, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			for _, match := range regexp.MustCompile(`(?m)^func ((Test|Fuzz)\w+)\(`).FindAllStringSubmatch(read(t, path), -1) {
				tests = append(tests, match[1])
			}
		}
	}
	for _, match := range regexp.MustCompile("`((Test|Fuzz)\\w+)`").FindAllStringSubmatch(read(t, "docs/threat-model.md"), -1) {
		if !slices.Contains(tests, match[1]) {
			t.Errorf("docs/threat-model.md points to %s, which does not exist", match[1])
		}
	}
}

// The table of supported versions starts at the versions of go.mod.
func TestReadmeStatesTheOldestVersions(t *testing.T) {
	module, page := read(t, "go.mod"), read(t, "README.md")
	for row, line := range map[string]string{
		"Go":                     `(?m)^go (\d+\.\d+)`,
		"google.golang.org/grpc": `(?m)^\s*google\.golang\.org/grpc v(\S+)$`,
	} {
		match := regexp.MustCompile(line).FindStringSubmatch(module)
		if match == nil {
			t.Fatalf("go.mod has no line %s", line)
		}
		if want := "| " + row + " | " + match[1] + " |"; !strings.Contains(page, want) {
			t.Errorf("README.md has no row %q", want)
		}
	}
}

func TestReadmeIsShort(t *testing.T) {
	if lines := strings.Count(read(t, "README.md"), "\n"); lines >= 200 {
		t.Errorf("README.md has %d lines, want fewer than 200", lines)
	}
}

// flatten takes the indentation away, which a page and a program do not share.
func flatten(code string) string {
	lines := strings.Split(code, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Pages fit their readers' screens: code of the README a terminal of 80 columns and a
// phone held across, code of other pages a window of 1,200 pixels, and the package
// page's outcome block, which go doc indents by 4, a terminal as well.
func TestPagesFit(t *testing.T) {
	fits := func(page, line string, most int) {
		t.Helper()
		if n := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")); n > most {
			t.Errorf("%s: a line of %d columns, want at most %d: %s", page, n, most, line)
		}
	}
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	fence := regexp.MustCompile("(?s)```(?:go|sh|proto|hcl)\n(.*?)```")
	for _, page := range append(pages, "README.md") {
		most := 120
		if page == "README.md" {
			most = 80
		}
		text := read(t, page)
		for _, match := range fence.FindAllStringSubmatch(text, -1) {
			for line := range strings.Lines(match[1]) {
				fits(page, strings.TrimRight(line, "\n"), most)
			}
		}
		wide := strings.HasPrefix(text, "<!-- Generated") || page == "docs/failures.md" || page == "docs/redis.md" // short cells: verdicts and figures
		for line := range strings.Lines(text) {
			if n := strings.Count(line, "|") - 1; strings.HasPrefix(line, "|") && n > 4 && !wide {
				t.Errorf("%s: a table of %d columns, want at most 4: %s", page, n, line)
			}
		}
	}
	for line := range strings.Lines(read(t, "doc.go")) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			fits("doc.go", "    "+strings.TrimRight(code, "\n"), 80)
		}
	}
	// The chart's smallest text, where a phone of 400 pixels shows it at 400/504.
	for _, match := range regexp.MustCompile(`font(?:-size)?: (\d+)px`).FindAllStringSubmatch(read(t, "benchmarks/summary.svg"), -1) {
		if size, _ := strconv.Atoi(match[1]); size*400/504 < 11 {
			t.Errorf("benchmarks/summary.svg: text of %d px, want 14 at least", size)
		}
	}
}

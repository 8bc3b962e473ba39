package auth0grpc_test

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The page of troubles has an entry for each fault of a configuration, by the words
// with which it begins, and names each reason of a refusal.
func TestTroubleshootingIsComplete(t *testing.T) {
	page := read(t, "docs/troubleshooting.md")
	for _, match := range regexp.MustCompile(`Reason = "([A-Z_]+)"`).FindAllStringSubmatch(read(t, "errors.go"), -1) {
		anchor := strings.ReplaceAll(strings.ToLower(match[1]), "_", "-")
		if !strings.Contains(page, "[`"+match[1]+"`](operating.md#"+anchor+")") {
			t.Errorf("docs/troubleshooting.md does not link %s", match[1])
		}
	}
	texts := configFaults(t)
	if len(texts) < 50 {
		t.Errorf("%d texts of faults found, want more: does the search still fit the code?", len(texts))
	}
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("docs/troubleshooting.md has no entry for the fault %q", text)
		}
	}
	entries := page[strings.Index(page, "## New returns"):strings.Index(page, "## The command")]
	for _, match := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(entries, -1) {
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(match[1], text) }) {
			t.Errorf("docs/troubleshooting.md explains %q, which is no fault of the code", match[1])
		}
	}
	commands := page[strings.Index(page, "## The command"):]
	code := ""
	for _, s := range sources(t) {
		if filepath.Dir(s.path) == "cmd/auth0grpc" && !s.isTest() {
			code += string(s.text)
		}
	}
	for _, match := range regexp.MustCompile("`([a-z-][^`]* [^`]*)`").FindAllStringSubmatch(commands, -1) {
		if !strings.Contains(match[1], " -o") && !strings.Contains(code, match[1]) {
			t.Errorf("docs/troubleshooting.md explains %q, which the command does not print", match[1])
		}
	}
	for _, match := range regexp.MustCompile(`errors\.New\("([^"]+)"`).FindAllStringSubmatch(code, -1) {
		if text := strings.TrimSpace(match[1]); !strings.Contains(commands, text) {
			t.Errorf("docs/troubleshooting.md has no entry for the fault %q of the command", text)
		}
	}
}

// configFaults returns the words with which each Reason of a ConfigError begins: the
// string literals in ConfigError values, those assigned to a variable named reason, those
// appended to faults or reasons, the arguments of functions named fault, and the results
// of functions whose name has fault in it or begins with explain or validate.
func configFaults(t *testing.T) []string {
	t.Helper()
	var texts []string
	add := func(e ast.Expr) {
		if text := beginning(e); text != "" && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	for _, s := range sources(t) {
		folder := filepath.Dir(s.path)
		if s.isTest() || folder != "." && folder != "auth0grpcclient" && folder != "auth0grpcevents" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "ConfigError" {
					add(reasonOf(n))
				}
			case *ast.AssignStmt:
				if id, ok := n.Lhs[0].(*ast.Ident); ok && id.Name == "reason" {
					add(n.Rhs[0])
				}
			case *ast.CallExpr:
				addArguments(n, add)
			case *ast.FuncDecl:
				name := strings.ToLower(n.Name.Name)
				if strings.Contains(name, "fault") || strings.HasPrefix(name, "explain") || strings.HasPrefix(name, "validate") {
					addResults(n, add)
				}
			case *ast.ValueSpec:
				if n.Names[0].Name == "usage" { // of the key of a row
					add(n.Values[0])
				}
			}
			return true
		})
	}
	slices.Sort(texts)
	return texts
}

// addArguments adds the text of fault(field, value, text), append(faults, text) and
// append(reasons, text).
func addArguments(call *ast.CallExpr, add func(ast.Expr)) {
	f, ok := call.Fun.(*ast.Ident)
	if !ok || len(call.Args) < 2 {
		return
	}
	list, ok := call.Args[0].(*ast.Ident)
	if f.Name == "fault" || f.Name == "append" && ok && (list.Name == "faults" || list.Name == "reasons") {
		add(call.Args[len(call.Args)-1])
	}
}

func addResults(f *ast.FuncDecl, add func(ast.Expr)) {
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) == 1 {
			add(r.Results[0])
		}
		return true
	})
}

func reasonOf(lit *ast.CompositeLit) ast.Expr {
	if len(lit.Elts) == 0 {
		return nil
	}
	last := lit.Elts[len(lit.Elts)-1]
	if pair, ok := last.(*ast.KeyValueExpr); ok {
		return pair.Value
	}
	return last
}

// beginning returns the words of a text before its first value, semicolon, colon or
// comma. Texts without a literal have none: another function made them.
func beginning(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return ""
		}
		text, _ := strconv.Unquote(e.Value)
		text = strings.TrimPrefix(text, "%q ")
		text = regexp.MustCompile(`[;:,%"].*`).ReplaceAllString(text, "")
		return strings.TrimSpace(text)
	case *ast.BinaryExpr:
		return beginning(e.X)
	case *ast.CompositeLit:
		if len(e.Elts) > 0 {
			return beginning(e.Elts[0])
		}
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" {
			return beginning(e.Args[0])
		}
	}
	return ""
}

package auth0grpc_test

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A source is a Go file of this repository.
type source struct {
	path      string // slash-separated, from the root
	text      []byte
	file      *ast.File
	positions *token.FileSet
}

func (s source) isTest() bool      { return strings.HasSuffix(s.path, "_test.go") }
func (s source) isGenerated() bool { return ast.IsGenerated(s.file) }
func (s source) isRoot() bool      { return !strings.Contains(s.path, "/") }

func (s source) lines(node ast.Node) int {
	return s.positions.Position(node.End()).Line - s.positions.Position(node.Pos()).Line + 1
}

// sources parses every Go file, also of the other modules in the tree.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != "." && (strings.HasPrefix(name, ".") || name == "testdata") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		s := source{path: filepath.ToSlash(path), positions: token.NewFileSet()}
		if s.text, err = os.ReadFile(path); err != nil {
			return err
		}
		s.file, err = parser.ParseFile(s.positions, path, s.text, parser.ParseComments|parser.SkipObjectResolution)
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Every exported name has a doc comment.
func TestExportsAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || s.isGenerated() || s.file.Name.Name == "main" || strings.Contains("/"+s.path, "/internal/") {
			continue
		}
		for _, decl := range s.file.Decls {
			for _, name := range undocumented(decl) {
				t.Errorf("%s: %s has no doc comment", s.path, name)
			}
		}
	}
}

// undocumented returns the exported names of a declaration without a comment of
// their own or of their group.
func undocumented(decl ast.Decl) []string {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Name.IsExported() && decl.Doc == nil && (decl.Recv == nil || exportedReceiver(decl.Recv.List[0].Type)) {
			return []string{decl.Name.Name}
		}
	case *ast.GenDecl:
		var names []string
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && spec.Doc == nil && decl.Doc == nil {
					names = append(names, spec.Name.Name)
				}
			case *ast.ValueSpec:
				if spec.Names[0].IsExported() && spec.Doc == nil && spec.Comment == nil && decl.Doc == nil {
					names = append(names, spec.Names[0].Name)
				}
			}
		}
		return names
	}
	return nil
}

func exportedReceiver(expr ast.Expr) bool {
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	name, ok := expr.(*ast.Ident)
	return ok && name.IsExported()
}

// Every exported function that a user's program calls is called in an example of its
// package. Functions that fmt, log/slog, errors, gRPC and this package call are exempt.
func TestEveryFunctionHasAnExample(t *testing.T) {
	calledByOthers := []string{
		"Error", "Unwrap", "Format", "LogValue", "String", "MarshalJSON", "MarshalText", "GRPCStatus",
		"GetRequestMetadata", "RequireTransportSecurity", // by gRPC, of credentials
		"Publish", "PublishNow", "Follow", "Use", "MaxTokenLifetime", "ClockSkew", // by an Interceptor, of its feed and its store
	}
	const elsewhere = "benchmarks/ integration/ examples/" // users do not import these
	called := map[string][]string{}                        // by folder
	for _, s := range sources(t) {
		if !s.isTest() {
			continue
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Example") {
				called[path.Dir(s.path)] = append(called[path.Dir(s.path)], selected(f)...)
			}
		}
	}
	for _, s := range sources(t) {
		top, _, _ := strings.Cut(s.path, "/")
		if s.isTest() || s.isGenerated() || s.file.Name.Name == "main" || strings.Contains("/"+s.path, "/internal/") ||
			strings.Contains(elsewhere, top+"/") {
			continue
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() || f.Recv != nil && !exportedReceiver(f.Recv.List[0].Type) {
				continue
			}
			if name := f.Name.Name; !slices.Contains(calledByOthers, name) && !slices.Contains(called[path.Dir(s.path)], name) {
				t.Errorf("%s: %s is called in no example", s.path, name)
			}
		}
	}
}

// selected returns the names behind a dot in a function.
func selected(f *ast.FuncDecl) []string {
	var names []string
	ast.Inspect(f, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			names = append(names, selector.Sel.Name)
		}
		return true
	})
	return names
}

// A file that outgrows these wants something deleted or split.
func TestSizes(t *testing.T) {
	const maxFile, maxFunction = 350, 60
	for _, s := range sources(t) {
		if s.isTest() || s.isGenerated() {
			continue
		}
		if n := bytes.Count(s.text, []byte("\n")); s.isRoot() && n > maxFile {
			t.Errorf("%s has %d lines, want at most %d", s.path, n, maxFile)
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && s.lines(f) > maxFunction {
				t.Errorf("%s: %s has %d lines, want at most %d", s.path, f.Name.Name, s.lines(f), maxFunction)
			}
		}
	}
}

// The library adds no test kit and no telemetry to a user's binary, and packages
// without gRPC stay so.
func TestImports(t *testing.T) {
	const module = "github.com/auth0grpc/auth0grpc"
	root := []string{"testing", module + "/auth0grpctest", module + "/policy", module + "/auth0grpcotel", "go.opentelemetry.io/"}
	below := []string{"google.golang.org/grpc", module + `"`}
	for _, s := range sources(t) {
		var forbidden []string
		switch {
		case s.isTest():
		case s.isRoot():
			forbidden = root
		case strings.HasPrefix(s.path, "internal/"):
			forbidden = below
		}
		for _, spec := range s.file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(forbidden, func(prefix string) bool { return strings.HasPrefix(path+`"`, prefix) }) {
				t.Errorf("%s imports %s", s.path, path)
			}
		}
	}
}

// Tests take their time from a clock of their own, and none is left out without
// saying why.
func TestTestsAreHonest(t *testing.T) {
	for _, s := range sources(t) {
		if !s.isTest() {
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			selector, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			on, _ := selector.X.(*ast.Ident)
			switch name := selector.Sel.Name; {
			case on != nil && on.Name == "synctest" && name == "Test":
				return false // time in there is not real
			case on != nil && on.Name == "time" && name == "Sleep":
				t.Errorf("%s: time.Sleep", s.positions.Position(call.Pos()))
			case name == "SkipNow", name == "Skip" && len(call.Args) == 0:
				t.Errorf("%s: skipped without a reason", s.positions.Position(call.Pos()))
			}
			return true
		})
	}
}

// Incidents of other projects have a test or an example here that names them, one for
// each kind of fault.
func TestIncidentsAreGuarded(t *testing.T) {
	incidents := strings.Fields(`
		CVE-2026-33186 GO-2026-6061 GO-2023-2153 GO-2024-2978 CVE-2022-39340 CVE-2024-27916 CVE-2026-33190 CVE-2026-40946
		CVE-2020-26160 GO-2026-5732 CVE-2024-5037 CVE-2026-33322 CVE-2026-49998 CVE-2026-32301 CVE-2026-49478 CVE-2025-24976
		CVE-2025-22149 CVE-2025-30204 CVE-2024-28180 CVE-2021-32701 CVE-2025-54576 CVE-2026-41164 CVE-2026-23990
		hashicorp/cap#191 CVE-2020-15222 CVE-2025-64527 CVE-2023-47108 GO-2026-4703 CVE-2024-51744`)
	all := sources(t)
	for _, incident := range incidents {
		if !slices.ContainsFunc(all, func(s source) bool {
			return s.isTest() && s.path != "repo_test.go" && bytes.Contains(s.text, []byte(incident))
		}) {
			t.Errorf("no test names %s", incident)
		}
	}
}

// The versions that older advisories demand (GO-2026-4762, GO-2026-6061,
// CVE-2025-27144, AIKIDO-2025-10522).
func TestMinimumVersions(t *testing.T) {
	least := map[string][3]int{
		"google.golang.org/grpc":        {1, 82, 1},
		"github.com/go-jose/go-jose/v4": {4, 1, 8},
		"github.com/coreos/go-oidc/v3":  {3, 21, 0},
	}
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		path, version, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		want, ok := least[path]
		if !ok {
			continue
		}
		delete(least, path)
		version, _, _ = strings.Cut(version, " ")
		if ok, err := atLeast(version, want); err != nil || !ok {
			t.Errorf("%s is %s, want at least %v: %v", path, version, want, err)
		}
	}
	if len(least) > 0 {
		t.Errorf("go.mod does not require %v", least)
	}
}

// atLeast reports whether the module version is the release want or a later one.
// A pre-release comes before its release (Semantic Versioning 2.0.0, item 11).
func atLeast(version string, want [3]int) (bool, error) {
	version, _, _ = strings.Cut(version, "+")
	numbers, prerelease, isPrerelease := strings.Cut(version, "-")
	var got [3]int
	if n, err := fmt.Sscanf(numbers+" ", "v%d.%d.%d ", &got[0], &got[1], &got[2]); n != 3 || err != nil || isPrerelease && prerelease == "" {
		return false, fmt.Errorf("malformed version %q", version)
	}
	order := slices.Compare(got[:], want[:])
	return order > 0 || order == 0 && !isPrerelease, nil
}

func TestAtLeast(t *testing.T) {
	want := [3]int{1, 82, 1}
	for version, atLeastWant := range map[string]bool{
		"v1.82.1": true, "v1.82.2": true, "v1.83.0": true, "v2.0.0": true, "v2.0.0+incompatible": true, "v1.82.1+meta-1": true,
		"v1.82.0": false, "v1.9.9": false, "v0.99.99": false,
		"v1.82.1-rc.1": false, "v1.82.1-0.20260101000000-abcdefabcdef": false,
		"v1.82.2-rc.1": true, "v1.83.0-dev": true, "v1.82.2-0.20260101000000-abcdefabcdef": true, "v1.83.0-rc.1+meta": true,
	} {
		if got, err := atLeast(version, want); got != atLeastWant || err != nil {
			t.Errorf("atLeast(%s) = %v, %v; want %v", version, got, err, atLeastWant)
		}
	}
	for _, version := range []string{"", "v1", "v1.82", "1.82.1", "v1.82.x", "v1.82.1.5", "v1.82.1-"} {
		if _, err := atLeast(version, want); err == nil {
			t.Errorf("atLeast(%q) does not refuse it", version)
		}
	}
}

// Each package with a configurable duration tests it with a number that lacks its
// unit: 60 counts nanoseconds.
func TestEveryDurationHasAMinimum(t *testing.T) {
	tested := map[string][]string{} // by folder, the fields that a test of numbers without unit names
	for _, s := range sources(t) {
		if s.isTest() && strings.Contains(string(s.text), "func TestNumbersWithoutUnit") {
			tested[path.Dir(s.path)] = append(tested[path.Dir(s.path)], string(s.text))
		}
	}
	for _, s := range sources(t) {
		if s.isTest() || s.isGenerated() || s.file.Name.Name == "main" || strings.Contains("/"+s.path, "/internal/") {
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			spec, ok := node.(*ast.TypeSpec)
			if !ok {
				return true
			}
			structure, ok := spec.Type.(*ast.StructType)
			if !ok || !spec.Name.IsExported() || !strings.HasSuffix(spec.Name.Name, "Config") {
				return false
			}
			for _, field := range structure.Fields.List {
				selector, ok := field.Type.(*ast.SelectorExpr)
				if !ok || selector.Sel.Name != "Duration" {
					continue
				}
				for _, name := range field.Names {
					full := spec.Name.Name + "." + name.Name
					if !strings.Contains(strings.Join(tested[path.Dir(s.path)], ""), `"`+full+`"`) {
						t.Errorf("%s: TestNumbersWithoutUnit does not name %q", path.Dir(s.path), full)
					}
				}
			}
			return false
		})
	}
}

package auth0grpc_test

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// TestFilesDependOneWay bounds the knots of files in the root package. A file depends
// on another if it uses a constant, variable, type or function that the other declares.
func TestFilesDependOneWay(t *testing.T) {
	const maxKnot, maxPairs, maxMethods = 10, 10, 30
	files := rootFiles(t)
	uses := dependencies(files)
	reached := map[string]map[string]bool{}
	for file := range uses {
		reached[file] = map[string]bool{}
		reach(file, uses, reached[file])
	}
	var pairs, knot []string
	for file := range uses {
		mutual := []string{file}
		for other := range uses {
			if other == file {
				continue
			}
			if reached[file][other] && reached[other][file] {
				mutual = append(mutual, other)
			}
			if file < other && uses[file][other] && uses[other][file] {
				pairs = append(pairs, file+" and "+other)
			}
		}
		if len(mutual) > len(knot) {
			knot = mutual
		}
	}
	slices.Sort(knot)
	slices.Sort(pairs)
	t.Logf("largest knot: %d files, mutual pairs: %d", len(knot), len(pairs))
	if len(knot) > maxKnot {
		t.Errorf("%d files depend on each other, want at most %d: %s", len(knot), maxKnot, strings.Join(knot, ", "))
	}
	if len(pairs) > maxPairs {
		t.Errorf("%d pairs of files depend on each other, want at most %d: %s", len(pairs), maxPairs, strings.Join(pairs, "; "))
	}
	if n := interceptorMethods(files); n > maxMethods {
		t.Errorf("Interceptor has %d methods, want at most %d", n, maxMethods)
	}
}

// rootFiles returns the files of the root package without its tests.
func rootFiles(t *testing.T) []source {
	t.Helper()
	return slices.DeleteFunc(sources(t), func(s source) bool { return !s.isRoot() || s.isTest() })
}

// dependencies returns the files that each file depends on. Other packages are not
// loaded, so errors about their names are expected.
func dependencies(files []source) map[string]map[string]bool {
	positions := token.NewFileSet()
	uses := map[string]map[string]bool{}
	var parsed []*ast.File
	for _, s := range files {
		file, _ := parser.ParseFile(positions, s.path, s.text, parser.SkipObjectResolution) // [sources] has parsed it
		parsed, uses[s.path] = append(parsed, file), map[string]bool{}
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Error: func(error) {}, Importer: noImports{}}
	pkg, _ := config.Check("auth0grpc", positions, parsed, info)
	for name, object := range info.Uses {
		from, to := positions.Position(name.Pos()).Filename, positions.Position(object.Pos()).Filename
		if object.Parent() == pkg.Scope() && from != to {
			uses[from][to] = true
		}
	}
	return uses
}

// noImports imports every package as an empty one.
type noImports struct{}

func (noImports) Import(path string) (*types.Package, error) {
	pkg := types.NewPackage(path, path[strings.LastIndexByte(path, '/')+1:])
	pkg.MarkComplete()
	return pkg, nil
}

// reach adds to reached each file that file depends on, directly or not.
func reach(file string, uses map[string]map[string]bool, reached map[string]bool) {
	for other := range uses[file] {
		if !reached[other] {
			reached[other] = true
			reach(other, uses, reached)
		}
	}
}

func interceptorMethods(files []source) int {
	n := 0
	for _, s := range files {
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv == nil {
				continue
			}
			if star, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok {
				if receiver, ok := star.X.(*ast.Ident); ok && receiver.Name == "Interceptor" {
					n++
				}
			}
		}
	}
	return n
}

// TestFilesAreShort bounds the lines of code of each file of the root package,
// without comments and empty lines.
func TestFilesAreShort(t *testing.T) {
	const maxCode = 250
	longest, lines := "", 0
	for _, s := range rootFiles(t) {
		n := s.codeLines()
		if n > maxCode {
			t.Errorf("%s has %d lines of code, want at most %d", s.path, n, maxCode)
		}
		if n > lines {
			longest, lines = s.path, n
		}
	}
	t.Logf("longest: %s, %d lines", longest, lines)
}

// codeLines returns the number of lines with a token other than a comment.
func (s source) codeLines() int {
	positions := token.NewFileSet()
	file := positions.AddFile(s.path, -1, len(s.text))
	var scan scanner.Scanner
	scan.Init(file, s.text, nil, 0)
	lines := map[int]bool{}
	for {
		pos, tok, literal := scan.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		if tok == token.SEMICOLON && literal == "\n" {
			continue
		}
		first := file.Line(pos)
		for line := range strings.Count(literal, "\n") + 1 {
			lines[first+line] = true
		}
	}
}

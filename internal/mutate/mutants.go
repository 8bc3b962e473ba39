package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A mutant is one change.
type mutant struct {
	number int // of its switch; 0 for a constant
	line   int
	what   string
	edits  []edit
}

// An edit inserts text at a byte offset of a file. At one offset, the edit with
// the least depth comes first: closing texts, which have negative depths, from the
// inside out, and then opening texts from the outside in.
type edit struct {
	offset, depth int
	text          string
}

// A file is a Go file and its mutants.
type file struct {
	name, path, pkg string // path is absolute
	text            string
	from, to        int // lines
	constants       bool
	mutants         []*mutant

	set    *token.FileSet
	syntax *ast.File
	next   *int
	depth  int
}

// readFile parses FILE or FILE:FROM-TO.
func readFile(arg string) (*file, error) {
	name, lines, limited := strings.Cut(arg, ":")
	f := &file{name: name, from: 1, to: 1 << 30, set: token.NewFileSet()}
	if limited {
		if _, err := fmt.Sscanf(lines, "%d-%d", &f.from, &f.to); err != nil {
			return nil, fmt.Errorf("%s: want FILE:FROM-TO", arg)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	f.text = string(text)
	if f.path, err = filepath.Abs(name); err != nil {
		return nil, err
	}
	if f.syntax, err = parser.ParseFile(f.set, name, text, parser.SkipObjectResolution); err != nil {
		return nil, err
	}
	f.pkg = f.syntax.Name.Name
	return f, nil
}

func (f *file) offset(pos token.Pos) int { return f.set.Position(pos).Offset }

// source returns the text of a node on one line.
func (f *file) source(node ast.Node) string {
	return f.text[f.offset(node.Pos()):f.offset(node.End())]
}

// add records a mutant if its line is wanted.
func (f *file) add(node ast.Node, number int, description string, edits ...edit) bool {
	line := f.set.Position(node.Pos()).Line
	if line < f.from || line > f.to {
		return false
	}
	short := strings.Join(strings.Fields(f.source(node)), " ")
	if runes := []rune(short); len(runes) > 70 {
		short = string(runes[:70]) + "…"
	}
	f.mutants = append(f.mutants, &mutant{number: number, line: line, what: description + ": " + short, edits: edits})
	return true
}

// wrap adds a mutant that puts texts around a node. In them # stands for the
// mutant's number.
func (f *file) wrap(node ast.Node, description, before, after string) {
	number := *f.next + 1
	f.depth++
	id := strconv.Itoa(number)
	if f.add(node, number, description,
		edit{f.offset(node.Pos()), f.depth, strings.ReplaceAll(before, "#", id)},
		edit{f.offset(node.End()), -f.depth, strings.ReplaceAll(after, "#", id)}) {
		*f.next = number
	}
}

// findMutants finds the switched mutants in all functions.
func (f *file) findMutants(next *int) {
	f.next = next
	for _, decl := range f.syntax.Decls {
		ast.Inspect(decl, func(node ast.Node) bool {
			if decl, ok := node.(*ast.GenDecl); ok && decl.Tok == token.CONST {
				return false
			}
			f.visit(node)
			return true
		})
	}
}

// visit adds the mutants of one node. Outer nodes come first, so their texts
// enclose inner ones.
func (f *file) visit(node ast.Node) {
	switch node := node.(type) {
	case *ast.IfStmt:
		f.force(node.Cond, true, true)
	case *ast.ForStmt:
		if node.Cond != nil {
			f.force(node.Cond, false, true)
		}
	case *ast.SwitchStmt:
		if node.Tag == nil {
			f.cases(node)
		}
	case *ast.BinaryExpr:
		f.binary(node)
	case *ast.ReturnStmt:
		f.negate(node.Results)
	case *ast.AssignStmt:
		f.negate(node.Rhs)
	case *ast.BlockStmt:
		f.statements(node.List)
	case *ast.CaseClause:
		f.statements(node.Body)
	case *ast.CommClause:
		f.statements(node.Body)
	}
}

func (f *file) cases(node *ast.SwitchStmt) {
	for _, clause := range node.Body.List {
		for _, condition := range clause.(*ast.CaseClause).List {
			f.force(condition, true, true)
		}
	}
}

// force makes a condition always true, always false, or each in turn.
func (f *file) force(condition ast.Expr, always, never bool) {
	if always {
		f.wrap(condition, "true", "(mutantOn(#) || (", "))")
	}
	if never {
		f.wrap(condition, "false", "(!mutantOn(#) && (", "))")
	}
}

// binary leaves out an operand of && or ||, or moves the bound of a comparison.
// An operand is copied into its own mutant alone, so it is evaluated once
// otherwise.
func (f *file) binary(node *ast.BinaryExpr) {
	equal := "mutantOn(#) && (" + f.source(node.X) + ") == (" + f.source(node.Y) + ")"
	switch node.Op {
	case token.LAND:
		f.force(node.X, true, false)
		f.force(node.Y, true, false)
	case token.LOR:
		f.force(node.X, false, true)
		f.force(node.Y, false, true)
	case token.LSS, token.GTR:
		f.wrap(node, "bound", "(", " || "+equal+")")
	case token.LEQ, token.GEQ:
		f.wrap(node, "bound", "(", " && !("+equal+"))")
	}
}

// negate turns results that are visibly boolean around.
func (f *file) negate(results []ast.Expr) {
	for _, result := range results {
		boolean := false
		switch result := result.(type) {
		case *ast.Ident:
			boolean = result.Name == "true" || result.Name == "false"
		case *ast.BinaryExpr:
			boolean = slices.Contains([]token.Token{token.LAND, token.LOR, token.EQL, token.NEQ, token.LSS, token.GTR, token.LEQ, token.GEQ}, result.Op)
		case *ast.UnaryExpr:
			boolean = result.Op == token.NOT
		}
		if boolean {
			f.wrap(result, "negate", "(mutantOn(#) != (", "))")
		}
	}
}

// statements drops each statement that can be left out without a compile error.
func (f *file) statements(list []ast.Stmt) {
	for _, statement := range list {
		switch statement := statement.(type) {
		case *ast.AssignStmt:
			if statement.Tok == token.DEFINE {
				continue
			}
		case *ast.ExprStmt:
			if call, ok := statement.X.(*ast.CallExpr); ok {
				if name, ok := call.Fun.(*ast.Ident); ok && name.Name == "panic" {
					continue // it may end a function
				}
			}
		case *ast.ReturnStmt:
			if len(statement.Results) > 0 {
				continue
			}
		case *ast.BranchStmt:
			if statement.Tok == token.FALLTHROUGH || statement.Tok == token.GOTO {
				continue
			}
		case *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt:
		default:
			continue
		}
		f.wrap(statement, "drop", "if !mutantOn(#) { ", " }")
	}
}

// findConstants finds integer literals. One more and one less are both tried.
func (f *file) findConstants() {
	ast.Inspect(f.syntax, func(node ast.Node) bool {
		literal, ok := node.(*ast.BasicLit)
		if ok && literal.Kind == token.INT {
			for _, other := range []string{" + 1", " - 1"} {
				f.add(literal, 0, "constant"+other, edit{f.offset(node.Pos()), 1, "("}, edit{f.offset(node.End()), -1, other + ")"})
			}
		}
		return true
	})
}

// mutated returns the text with the edits of all switched mutants, or with the edits
// of one constant.
func (f *file) mutated(constant *mutant) string {
	var edits []edit
	for _, m := range f.mutants {
		if m == constant || m.number != 0 {
			edits = append(edits, m.edits...)
		}
	}
	slices.SortStableFunc(edits, func(a, b edit) int {
		if a.offset != b.offset {
			return a.offset - b.offset
		}
		return a.depth - b.depth
	})
	var b strings.Builder
	last := 0
	for _, e := range edits {
		b.WriteString(f.text[last:e.offset])
		b.WriteString(e.text)
		last = e.offset
	}
	b.WriteString(f.text[last:])
	return b.String()
}

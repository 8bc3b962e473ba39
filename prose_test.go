package auth0grpc_test

import (
	"go/ast"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A phrase is a construction, and the words to use instead.
type phrase struct {
	phrase  *regexp.Regexp
	instead string
}

// unclearPhrases lists constructions that a reader has to translate, and the words to
// use instead.
var unclearPhrases = []phrase{
	{regexp.MustCompile(`(?i)\b(nobody|somebody|everybody|whoever|whomever)\b`), "the party: caller, client, handler, issuer, attacker, operator"},
	{regexp.MustCompile(`(?i)\b(whatever|whichever)\b`), "a noun, or any"},
	{regexp.MustCompile(`(?i)\b(can(not)?|could( not)?) be had\b`), "available, unavailable"},
	{regexp.MustCompile(`(?i)\b(is|are|was|were) told\b`), "is called with, receives"},
	{regexp.MustCompile(`(?i)\bhears? of\b`), "receives, logs"},
	{regexp.MustCompile(`(?i)\b(that|those) of\b`), "the noun itself"},
	{regexp.MustCompile(`(?i)\b(for )?(one|those) who\b`), "the party: caller, client, operator"},
	{regexp.MustCompile(`(?i)\b(is|are) to \w`), "must, or a verb in the present tense"},
	{regexp.MustCompile(`(?i)\bwhat (is|it|its|the|they|a|an|has|was|were|comes|can|does|this|that|becomes|remains)\b`), "the noun itself"},
	{regexp.MustCompile(`(?i)(?:[.:;(] |\b(?:and|or|of|to|is|by|from|with|only|tells?|says?|knows?|shows?) )who (is|has|was|can|does|may|are|calls?|called)\b`), "the party: caller, client, operator"},
}

// Comments, pages, error texts and flag help avoid the constructions of unclearPhrases.
func TestProseIsPlain(t *testing.T) {
	for _, s := range sources(t) {
		if s.isGenerated() || s.path == "prose_test.go" {
			continue
		}
		for _, group := range s.file.Comments {
			checkProse(t, s.positions.Position(group.Pos()).String(), group.Text())
		}
		if s.isTest() { // its literals are inputs and expectations
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil {
					checkProse(t, s.positions.Position(literal.Pos()).String(), text)
				}
			}
			return true
		})
	}
	for _, page := range textFiles(t, ".md", ".proto", ".yaml", ".yml") {
		if page != "CHANGELOG.md" {
			checkProse(t, page, read(t, page))
		}
	}
}

func checkProse(t *testing.T, where, text string) {
	t.Helper()
	text = strings.Join(strings.Fields(strings.NewReplacer("\n//", " ", "\n#", " ").Replace(text)), " ")
	for _, p := range unclearPhrases {
		for _, match := range p.phrase.FindAllStringIndex(text, -1) {
			if end := strings.IndexAny(text[match[1]:], ".?!"); end >= 0 && text[match[1]+end] == '?' {
				continue // a question
			}
			near := text[max(0, match[0]-40):min(len(text), match[1]+40)]
			t.Errorf("%s: %q in …%s…; write %s", where, text[match[0]:match[1]], near, p.instead)
		}
	}
}

// textFiles returns the paths of the files with these extensions, in order.
func textFiles(t *testing.T, extensions ...string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() && (base == "node_modules" || base == ".git") {
			return filepath.SkipDir
		}
		if !entry.IsDir() && slices.Contains(extensions, filepath.Ext(base)) {
			files = append(files, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// No function, parameter or result takes the name of a predeclared identifier.
func TestNamesShadowNothing(t *testing.T) {
	for _, s := range sources(t) {
		if s.isGenerated() {
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			var names []*ast.Ident
			fields := func(list *ast.FieldList) {
				if list == nil {
					return
				}
				for _, field := range list.List {
					names = append(names, field.Names...)
				}
			}
			switch node := node.(type) {
			case *ast.FuncDecl:
				if node.Recv == nil {
					names = append(names, node.Name)
				}
			case *ast.FuncType:
				fields(node.Params)
				fields(node.Results)
			}
			for _, name := range names {
				if types.Universe.Lookup(name.Name) != nil {
					t.Errorf("%s: %s is predeclared", s.positions.Position(name.Pos()), name.Name)
				}
			}
			return true
		})
	}
}

// fileName matches the name of a file of this repository in a page. A name without a
// folder has an extension that only such files have.
var fileName = regexp.MustCompile("`((?:[A-Za-z0-9_.-]+/)*[A-Za-z0-9_.-]+\\.(?:go|md|proto|json|svg|conf|mod|sum)|(?:[A-Za-z0-9_.-]+/)+[A-Za-z0-9_-]*)`")

// foreignFiles lists names in pages that mean files of users.
var foreignFiles = []string{"policy.json", "main.go", "set.binpb", "go.mod", "go.sum"}

// Each file and folder that CONTRIBUTING and docs name exists.
func TestFileNamesExist(t *testing.T) {
	pages := append(textFilesIn(t, "docs"), "CONTRIBUTING.md", "SECURITY.md")
	checked := 0
	for _, page := range pages {
		missing, found := missingFiles(page, read(t, page))
		if checked += found; page == "CONTRIBUTING.md" && found < 50 {
			t.Errorf("%s: %d names found, want at least 50", page, found)
		}
		for _, name := range missing {
			t.Errorf("%s names %s, which does not exist", page, name)
		}
	}
	if len(pages) < 15 || checked < 100 {
		t.Errorf("%d names on %d pages found, want at least 100 on 15", checked, len(pages))
	}
	text := "in `no_such_file.go`, `docs/no_such_page.md`; not `policy.json`, `prose_test.go`"
	missing, _ := missingFiles("docs/a.md", text)
	if want := []string{"no_such_file.go", "docs/no_such_page.md"}; !slices.Equal(missing, want) {
		t.Errorf("missing in %q: %q, want %q", text, missing, want)
	}
}

// missingFiles returns the file names on a page that do not exist, and the number of all.
func missingFiles(page, text string) (missing []string, found int) {
	for _, match := range fileName.FindAllStringSubmatch(text, -1) {
		name := match[1]
		if slices.Contains(foreignFiles, name) || !isOwnPath(name) {
			continue
		}
		found++
		_, atRoot := os.Stat(name)
		_, atPage := os.Stat(path.Join(path.Dir(page), name))
		if atRoot != nil && atPage != nil {
			missing = append(missing, name)
		}
	}
	return missing, found
}

// isOwnPath reports whether a name is of this repository: a file of the root, or below
// a folder that the root has.
func isOwnPath(name string) bool {
	top, _, nested := strings.Cut(name, "/")
	if !nested {
		return true
	}
	_, err := os.Stat(top)
	return err == nil
}

func textFilesIn(t *testing.T, folder string) []string {
	t.Helper()
	var files []string
	for _, file := range textFiles(t, ".md") {
		if strings.HasPrefix(file, folder+"/") {
			files = append(files, file)
		}
	}
	return files
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy"
)

// A diffReport is the comparison of two tables, as every output format shows it.
type diffReport struct {
	Old         string         `json:"old"`
	New         string         `json:"new"`
	Looser      int            `json:"looser"`  // methods that need a review
	Allowed     int            `json:"allowed"` // methods that are looser and named by -allow
	Differences []diffEntry    `json:"differences"`
	counts      map[string]int // by change
	notes       []string
}

// A diffEntry is a difference, and the answer to it.
type diffEntry struct {
	policy.Difference
	// Allowed reports whether -allow names the method.
	Allowed bool `json:"allowed,omitempty"`
}

// runDiff compares two tables. The exit status is 1 if a method is looser and -allow
// does not name it.
func runDiff(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("auth0grpc diff", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, `Usage: auth0grpc diff [flags] OLD NEW

OLD and NEW are policy files in JSON or descriptor sets. Each may be in a revision of
the Git repository, as in main:policy.json (see gitrevisions: a path that begins with ./
starts at the current folder, others at the root of the repository).

`)
		flags.PrintDefaults()
	}
	var allowed []string
	flags.Func("allow", "full `methods` that may be looser; separated by commas or spaces; may be repeated", func(list string) error {
		allowed = append(allowed, splitList(list)...)
		return nil
	})
	asJSON := flags.Bool("json", false, "print JSON, with the methods that are equal")
	asMarkdown := flags.Bool("markdown", false, "print Markdown for a comment on a pull request")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	if flags.NArg() != 2 {
		fmt.Fprintln(stderr, "auth0grpc: diff: want two arguments, OLD and NEW, after the flags")
		return exitUsage
	}
	if *asJSON && *asMarkdown {
		fmt.Fprintln(stderr, "auth0grpc: diff: want one of -json and -markdown")
		return exitUsage
	}
	report, err := compareFiles(ctx, flags.Arg(0), flags.Arg(1), allowed)
	if err != nil {
		fmt.Fprintf(stderr, "%v\n", err)
		return exitUsage
	}
	switch {
	case *asJSON:
		err = writeJSON(stdout, report)
	case *asMarkdown:
		err = report.writeMarkdown(stdout)
	default:
		err = report.writeText(stdout, wantsColor(stdout, getenv))
	}
	if err != nil {
		fmt.Fprintf(stderr, "auth0grpc: diff: %v\n", err)
		return exitUsage
	}
	if report.Looser > 0 {
		return exitFaults
	}
	return exitOK
}

// compareFiles compares the tables in two files. It returns the faults of both.
func compareFiles(ctx context.Context, oldName, newName string, allowed []string) (*diffReport, error) {
	before, errBefore := readTable(ctx, oldName)
	after, errAfter := readTable(ctx, newName)
	if err := errors.Join(errBefore, errAfter); err != nil {
		return nil, err
	}
	differences, err := policy.Compare(before, after)
	if err != nil {
		return nil, err
	}
	report := &diffReport{Old: oldName, New: newName, counts: map[string]int{}, Differences: []diffEntry{}}
	unused := map[string]bool{}
	for _, method := range allowed {
		unused[method] = true
	}
	for _, d := range differences {
		entry := diffEntry{Difference: d}
		report.counts[d.Change.String()]++
		if d.Change.Loosens() {
			if entry.Allowed = slices.Contains(allowed, d.Method); entry.Allowed {
				report.Allowed++
				delete(unused, d.Method)
			} else {
				report.Looser++
			}
		}
		report.Differences = append(report.Differences, entry)
	}
	// The changes to review come first.
	slices.SortStableFunc(report.Differences, func(a, b diffEntry) int { return a.rank() - b.rank() })
	for _, method := range allowed {
		if unused[method] {
			report.notes = append(report.notes, fmt.Sprintf("-allow %s: the method is not looser", method))
			delete(unused, method)
		}
	}
	return report, nil
}

// rank orders entries for a review.
func (e *diffEntry) rank() int {
	switch {
	case e.needsReview():
		return 0
	case e.Allowed:
		return 1
	case e.Change == policy.Tighter:
		return 2
	}
	return 3
}

func (e *diffEntry) needsReview() bool { return e.Change.Loosens() && !e.Allowed }

// isSame reports whether the row did not change at all.
func (e *diffEntry) isSame() bool { return e.Change == policy.Equal && e.Old == e.New }

// wantsColor reports whether w is a terminal that should show colours
// (https://no-color.org).
func wantsColor(w io.Writer, getenv func(string) string) bool {
	file, ok := w.(*os.File)
	if !ok || getenv("NO_COLOR") != "" || getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// readTable reads the table in a file. Each fault in it begins with the name of the
// file, and its line and column if it is a document.
func readTable(ctx context.Context, name string) (map[string]auth0grpc.Rule, error) {
	data, err := readRevision(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("auth0grpc: %w", err)
	}
	in := &input{policy: data}
	if isDescriptorSet(data) {
		in.policy = nil
		if err := in.parseDescriptors(name, data); err != nil {
			return nil, fmt.Errorf("auth0grpc: %w", err)
		}
	}
	methods, err := mergedMethods(in)
	if err != nil {
		return nil, withFile(name, err)
	}
	return methods, nil
}

// readTables merges the tables in several files. It returns nil without files.
func readTables(ctx context.Context, names []string) (map[string]auth0grpc.Rule, error) {
	var tables []map[string]auth0grpc.Rule
	var errs []error
	for _, name := range names {
		table, err := readTable(ctx, name)
		tables, errs = append(tables, table), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil || len(names) == 0 {
		return nil, err
	}
	return policy.Merge(tables...)
}

// withFile puts the name of a file before each of several faults.
func withFile(name string, err error) error {
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	for i, err := range list {
		var fault *policy.Error
		switch {
		case !errors.As(err, &fault):
			list[i] = fmt.Errorf("%s: %w", name, err)
		case fault.Line == 0:
			list[i] = fmt.Errorf("%s: %s: %s", name, fault.Path, fault.Reason)
		default:
			list[i] = fmt.Errorf("%s:%d:%d: %s: %s", name, fault.Line, fault.Column, fault.Path, fault.Reason)
		}
	}
	return errors.Join(list...)
}

// countsText returns the number of methods by change, as in "1 looser, 2 equal".
func (r *diffReport) countsText() string {
	var parts []string
	for change := policy.Equal; change <= policy.Undecided; change++ {
		if n := r.counts[change.String()]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, change))
		}
	}
	if len(parts) == 0 {
		return "no methods"
	}
	return strings.Join(parts, ", ")
}

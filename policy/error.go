package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// An Error is one fault in a policy. All faults of one policy are returned at
// once, joined by errors.Join.
type Error struct {
	// Line and Column are where the fault is in a document, counted from 1, columns
	// in characters. They are 0 for a policy that is not a document.
	Line, Column int
	// Path is what is at fault: as in $.methods["/a.B/C"].scopes[0] in a document,
	// as in shop.v1.Shop.Get(auth0grpc.v1.rule).scopes[0] in a .proto file, and the
	// key of a row in a table.
	Path string
	// Reason is what is wrong and what would be right.
	Reason string
}

// Error names the place, the path and what would be right, on one line.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("policy: %s: %s", e.Path, e.Reason)
	}
	return fmt.Sprintf("policy: %d:%d: %s: %s", e.Line, e.Column, e.Path, e.Reason)
}

// faults collects errors. The zero value is ready for use.
type faults struct {
	doc []byte // nil: there are no lines and columns
	all []fault
}

// A fault is an Error that is still at a byte of the document.
type fault struct {
	at int
	Error
}

// add notes a fault at a byte of the document.
func (f *faults) add(at int, path, format string, args ...any) {
	f.all = append(f.all, fault{at, Error{Path: path, Reason: fmt.Sprintf(format, args...)}})
}

// err returns everything that was added, in the order of the document, or nil.
func (f *faults) err() error {
	slices.SortStableFunc(f.all, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Path, b.Path))
	})
	all := make([]error, len(f.all))
	line, start, from := 1, 0, 0 // of the place so far: its line, where that begins, and the place
	for i := range f.all {
		one := &f.all[i]
		if f.doc != nil {
			passed := f.doc[from:one.at]
			line += bytes.Count(passed, []byte{'\n'})
			if last := bytes.LastIndexByte(passed, '\n'); last >= 0 {
				start = from + last + 1
			}
			from = one.at
			one.Line, one.Column = line, 1+utf8.RuneCount(f.doc[start:one.at])
		}
		all[i] = &one.Error
	}
	return errors.Join(all...)
}

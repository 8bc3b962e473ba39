package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// An Error reports one fault in a policy. Functions return all faults of a policy at
// once, joined by errors.Join.
type Error struct {
	// Line and Column locate the fault in a document, from 1; columns count characters.
	// They are 0 for a policy that is not a document.
	Line, Column int
	// Path names the faulty element: $.methods["/a.B/C"].scopes[0] in a document,
	// shop.v1.Shop.Get(auth0grpc.v1.rule).scopes[0] in a .proto file, the key of the row
	// in a table.
	Path string
	// Reason explains the fault and the correction.
	Reason string
}

// Error returns the place, the path and the reason on one line.
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
	offset int
	Error
}

// add notes a fault at a byte of the document.
func (f *faults) add(offset int, path, format string, args ...any) {
	f.all = append(f.all, fault{offset, Error{Path: path, Reason: fmt.Sprintf(format, args...)}})
}

// err joins the errors in the order of the document. It returns nil if there are none.
func (f *faults) err() error {
	slices.SortStableFunc(f.all, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.Path, b.Path))
	})
	errs := make([]error, len(f.all))
	// One pass over the document gives all positions, even if a single line holds many faults.
	line, column, offset := 1, 1, 0
	for i := range f.all {
		fault := &f.all[i]
		if f.doc != nil {
			passed := f.doc[offset:fault.offset]
			if last := bytes.LastIndexByte(passed, '\n'); last >= 0 {
				line += bytes.Count(passed, []byte{'\n'})
				column, passed = 1, passed[last+1:]
			}
			column += utf8.RuneCount(passed)
			offset = fault.offset
			fault.Line, fault.Column = line, column
		}
		errs[i] = &fault.Error
	}
	return errors.Join(errs...)
}

package strictjson

import (
	"fmt"
	"strings"
	"testing"
)

// A table that another document used knows nothing of that document, and a large one
// is not kept.
func TestTablesAreUsedAgain(t *testing.T) {
	object := func(count int, prefix string) string {
		var doc strings.Builder
		for i := range count {
			fmt.Fprintf(&doc, `,"%s%d":{"x":0}`, prefix, i)
		}
		return "{" + doc.String()[1:] + "}"
	}
	for range 20 {
		for _, count := range []int{fewNames - 1, fewNames, fewNames + 1, 100, maxKeptNames, 2 * maxKeptNames} {
			for _, prefix := range []string{"a", "b"} {
				doc := object(count, prefix)
				if err := Object(doc, nil); err != nil {
					t.Fatalf("%d names: %v", count, err)
				}
				twice := doc[:len(doc)-1] + `,"` + prefix + `0":0}`
				if err := Object(twice, nil); err != ErrDuplicate {
					t.Fatalf("%d names, the first twice: %v", count, err)
				}
			}
		}
	}
	table := nameTables.Get().(*nameTable)
	if cap(table.rest) > maxKeptNames || cap(table.table) > 4*maxKeptNames {
		t.Errorf("kept room for %d names and %d slots", cap(table.rest), cap(table.table))
	}
	for _, name := range table.rest[:cap(table.rest)] {
		if name != "" {
			t.Fatal("a kept table holds a name")
		}
	}
}

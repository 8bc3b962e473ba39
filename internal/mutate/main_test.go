package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const clamp = "testdata/clamp/clamp.go"

// Changes that the test of the package misses survive, and no others do.
func TestRun(t *testing.T) {
	tests := map[string]struct {
		runner    runner
		lines     string
		survivors int
		want      string // the printed line, without the file
	}{
		"all": {survivors: 3, want: `
:9: false: limit > 100
:9: bound: n > limit
:9: bound: limit > 100
10 killed, 3 survived, 0 did not compile
`},
		"some lines": {lines: ":6-7", want: `
4 killed, 0 survived, 0 did not compile
`},
		"no test": {runner: runner{tests: "TestOther"}, lines: ":10-10", survivors: 1, want: `
:10: drop: n = limit
0 killed, 1 survived, 0 did not compile
`},
		"killed mutants": {runner: runner{verbose: true}, lines: ":10-10", want: `
:10: drop: n = limit: killed by TestClamp
1 killed, 0 survived, 0 did not compile
`},
		"constants": {runner: runner{constants: true}, lines: ":9-9", survivors: 2, want: `
:9: constant + 1: 100
:9: constant - 1: 100
0 killed, 2 survived, 0 did not compile
`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			test.runner.out = &out
			survivors, err := test.runner.run([]string{clamp + test.lines})
			if err != nil {
				t.Fatal(err)
			}
			if survivors != test.survivors {
				t.Errorf("%d survivors, want %d", survivors, test.survivors)
			}
			got := "\n" + strings.ReplaceAll(out.String(), clamp, "")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"no file":      nil,
		"missing file": {"testdata/clamp/other.go"},
		"bad lines":    {clamp + ":7"},
		"no Go":        {"../../go.mod"},
	} {
		t.Run(name, func(t *testing.T) {
			r := runner{out: new(bytes.Buffer)}
			if _, err := r.run(args); err == nil {
				t.Error("no error")
			}
		})
	}
}

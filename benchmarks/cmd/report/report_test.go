package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
)

// tiny measures as little as possible of each case.
var tiny = plan{
	callPlan{1, time.Millisecond, 1, 10 * time.Millisecond, 3, 200, 200},
	streamPlan{2, time.Millisecond, 50, 2 * time.Second, 1, 20, 100_000},
	boundPlan{2, time.Millisecond},
	growthPlan{2, 10, []int{suite.Small, 8 << 10}, []int{1000, 1010}, []int{100, 200}, []int{1, 1000}, []int{10, 20}},
}

func TestMain(m *testing.M) {
	suite.BodiesServer()
	os.Exit(m.Run())
}

func TestReport(t *testing.T) {
	dir := t.TempDir()
	if err := run(tiny, []string{"calls", "growth", "streams", "bound"}, dir); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	checkTables(t, read("RESULTS.md"))
	checkXML(t, read("results.svg"))
	checkXML(t, read("summary.svg"))
	checkXML(t, read("growth.svg"))
	for _, peer := range suite.Peers {
		if !strings.Contains(read("RESULTS.md"), "| "+peer+" |") {
			t.Errorf("no table has a row for %s", peer)
		}
		if !strings.Contains(read("results.svg"), ">"+peer+"</text>") {
			t.Errorf("the chart has no bar for %s", peer)
		}
		if peer != suite.NoAuth && !strings.Contains(read("summary.svg"), ">"+peer+"</text>") {
			t.Errorf("the summary has no bar for %s", peer)
		}
	}
}

// checkTables asserts that every row of a table has as many cells as its head, and that
// no cell holds the result of a division by zero.
func checkTables(t *testing.T, text string) {
	t.Helper()
	cells, tables := 0, 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		if cells == 0 {
			cells = strings.Count(line, "|")
			tables++
		}
		if got := strings.Count(line, "|"); got != cells {
			t.Errorf("%d bars instead of %d in %q", got, cells, line)
		}
		if strings.Contains(line, "NaN") || strings.Contains(line, "Inf") {
			t.Errorf("no number in %q", line)
		}
	}
	if tables != 22 {
		t.Errorf("%d tables, want 22", tables)
	}
}

func checkXML(t *testing.T, text string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		switch _, err := d.Token(); {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			t.Fatalf("the chart is not XML: %v", err)
		}
	}
}

func TestBounds(t *testing.T) {
	tests := []struct {
		got  bound
		want string
	}{
		{atMost("x", 1.8, 1.8, times), "ok"},
		{atMost("x", 1.801, 1.8, times), "**bound missed**"},
		{atLeast("x", 60, 60, "%.0f"), "ok"},
		{atLeast("x", 59.9, 60, "%.0f"), "**bound missed**"},
		{atLeast("x", math.NaN(), 60, "%.0f"), "**bound missed**"},
		{atMost("x", math.NaN(), 60, "%.0f"), "**bound missed**"},
	}
	for _, test := range tests {
		if got := test.got.verdict(); got != test.want {
			t.Errorf("%+v: %s, want %s", test.got, got, test.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		all  []float64
		want float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1, 2}, 2},
		{[]float64{9, 1, 2, 4}, 3},
	} {
		if got := median(test.all); got != test.want {
			t.Errorf("median(%v) = %v, want %v", test.all, got, test.want)
		}
	}
}

// Lengths are linear: a value twice as large has a bar twice as long.
func TestBarLength(t *testing.T) {
	for _, test := range []struct{ value, want float64 }{
		{0, 0}, {math.NaN(), 0}, {0.001, 2}, {50, barMaximum / 2}, {100, barMaximum},
	} {
		if got := barLength(test.value, 100); got != test.want {
			t.Errorf("barLength(%v, 100) = %v, want %v", test.value, got, test.want)
		}
	}
}

// The bars of a chart are in order, and floors look like no library.
func TestChart(t *testing.T) {
	bars := []bar{{"b", 2, "2", other}, {"a", 1, "1", floor}, {"c", 3, "3", ours}}
	for _, test := range []struct {
		p    panel
		want string
	}{{panel{bars: slices.Clone(bars)}.shortestFirst(), "abc"}, {panel{bars: slices.Clone(bars)}.longestFirst(), "cba"}} {
		text := chart("<label>", test.p)
		checkXML(t, text)
		got := ""
		for _, match := range regexp.MustCompile(`>([abc])</text>`).FindAllStringSubmatch(text, -1) {
			got += match[1]
		}
		if got != test.want {
			t.Errorf("bars %s, want %s", got, test.want)
		}
		for _, class := range []string{`"bar"`, `"bar ours"`, `"bar floor"`} {
			if strings.Count(text, "<rect class="+class) != 1 {
				t.Errorf("the chart has not one bar of class %s:\n%s", class, text)
			}
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[float64]string{7: "7", 661.4: "661", 2181: "2\u202f181", 1234567: "1\u202f234\u202f567"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%v) = %q, want %q", n, got, want)
		}
	}
}

// A part that is measured again replaces its own text and no other.
func TestReplacePart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "RESULTS.md")
	for _, one := range [][2]string{{"Streams", "old\n\n### Table\n\nx\n"}, {"Calls", "calls\n"}, {"Streams", "new\n\n### Table\n"}} {
		if err := replacePart(file, one[0], one[1]); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := resultsHead + "\n## Calls\n\ncalls\n\n## Streams\n\nnew\n\n### Table\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUnknownPart(t *testing.T) {
	if err := run(tiny, []string{"bounds"}, t.TempDir()); err == nil || !strings.Contains(err.Error(), `"bounds"`) {
		t.Errorf("got %v", err)
	}
}

// Sizes have a logarithmic scale and values a linear one from zero.
func TestCurves(t *testing.T) {
	text := curveChart("<label>", curves{title: "t", note: "n", lines: []curve{
		{"a", true, []point{{10, 100}, {100, 50}, {1000, 0}}},
		{"b", false, []point{{10, 25}, {100, 25}, {1000, 25}}},
	}})
	checkXML(t, text)
	for _, want := range []string{
		`class="line ourline" stroke-dasharray="" d="M60.0 100.0L260.0 175.0L460.0 250.0"`,
		`class="line" stroke-dasharray="6 4" d="M60.0 212.5L260.0 212.5L460.0 212.5"`,
		`>a</text>`, `>b</text>`, ">1\u202f000</text>",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestRoundUp(t *testing.T) {
	for value, want := range map[float64]float64{0: 1, math.NaN(): 1, 1: 1, 1.5: 2, 3: 4, 5: 10, 0.03: 0.04, 41_000: 100_000} {
		if got := roundUp(value); math.Abs(got-want) > want*1e-9 {
			t.Errorf("roundUp(%v) = %v, want %v", value, got, want)
		}
	}
}

func TestSeriesRatio(t *testing.T) {
	a, b, c := &series{ns: []float64{2, 4, 9}}, &series{ns: []float64{1, 1, 1}}, &series{ns: []float64{1, 1, 2}}
	if got := a.ratio(b, c); got != 2 {
		t.Errorf("got %v, want 2", got)
	}
}

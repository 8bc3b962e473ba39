// Report measures the cost of authentication and prints the results: times, ratios,
// curves, and each figure that auth0grpc promises beside its bound. It writes the same
// text to RESULTS.md, and charts to results.svg, summary.svg and growth.svg.
//
//	go run ./cmd/report               # 15 minutes, on an idle machine
//	go run ./cmd/report -parts bound  # one part; the others stay as they are
//	go run ./cmd/report -short        # under a minute, to see that it works; no figures to quote
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
	"github.com/auth0grpc/auth0grpc/internal/progress"
)

// A plan sets the amount of measuring.
type plan struct {
	calls   callPlan
	streams streamPlan
	bound   boundPlan
	growth  growthPlan
}

var (
	full = plan{
		callPlan{5, 200 * time.Millisecond, 3, time.Second, 200, 100_000, 100_000},
		streamPlan{11, 300 * time.Millisecond, 10_000, 20 * time.Second, 3, 10_000, 1_000_000},
		boundPlan{11, 300 * time.Millisecond},
		growthPlan{
			30, 2048, []int{suite.Small, 4 << 10, 8 << 10, 14 << 10}, []int{1000, 10_000, 100_000},
			[]int{10_000, 100_000, 1_000_000}, []int{10, 100, 1000, 10_000}, []int{1000, 10_000, 100_000},
		},
	}
	short = plan{
		callPlan{1, 5 * time.Millisecond, 1, 50 * time.Millisecond, 20, 5_000, 2_000},
		streamPlan{1, 5 * time.Millisecond, 200, 2 * time.Second, 1, 50, 1_000_000},
		boundPlan{1, 5 * time.Millisecond},
		growthPlan{1, 50, []int{suite.Small, 8 << 10}, []int{1000, 2000}, []int{1000, 2000}, []int{10, 1000}, []int{100, 200}},
	}
)

// A part is one part of RESULTS.md.
type part struct {
	name, title string
	measure     func(s *suite.Suite, p plan, line *progress.Line) (measured, error)
}

// measured holds the text of a part and its charts by file name.
type measured struct {
	text   string
	charts map[string]string
}

// parts are in the order of RESULTS.md.
var parts = []part{
	{"calls", "Calls", func(s *suite.Suite, p plan, line *progress.Line) (measured, error) {
		r, err := measureCalls(s, p.calls, line)
		if err != nil {
			return measured{}, err
		}
		return measured{r.text(), map[string]string{"results.svg": r.svg(), "summary.svg": r.summary()}}, nil
	}},
	{"growth", "Growth", func(s *suite.Suite, p plan, line *progress.Line) (measured, error) {
		r, err := measureGrowth(s, p.growth, line)
		if err != nil {
			return measured{}, err
		}
		return measured{r.text(), map[string]string{"growth.svg": r.svg()}}, nil
	}},
	{"streams", "Streams", func(s *suite.Suite, p plan, line *progress.Line) (measured, error) {
		r, err := measureStreams(s, p.streams, line)
		if err != nil {
			return measured{}, err
		}
		return measured{text: r.text()}, nil
	}},
	{"bound", "Bound tokens", func(s *suite.Suite, p plan, line *progress.Line) (measured, error) {
		r, err := measureBound(s, p.bound, line)
		if err != nil {
			return measured{}, err
		}
		return measured{text: r.text()}, nil
	}},
}

func main() {
	suite.BodiesServer()
	testing.Init() // the flags that testing.Benchmark reads
	isShort := flag.Bool("short", false, "measure a little of each, to see that it works")
	names := flag.String("parts", "calls,growth,streams,bound", "comma-separated `parts` to measure; RESULTS.md keeps the others")
	out := flag.String("out", ".", "`directory` for RESULTS.md and the charts")
	flag.Parse()
	p := full
	if *isShort {
		p = short
	}
	if err := run(p, strings.Split(*names, ","), *out); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// run measures the named parts and writes them to a directory.
func run(p plan, names []string, out string) error {
	for _, name := range names {
		if _, found := partOf(name); !found {
			return fmt.Errorf("no part is called %q; there are calls, growth, streams and bound", name)
		}
	}
	s, err := suite.New()
	if err != nil {
		return err
	}
	defer s.Close()
	line := progress.New(os.Stderr)
	defer line.Clear() // also after an error
	for _, name := range names {
		one, _ := partOf(name)
		got, err := one.measure(s, p, line)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		line.Clear()
		text := machine() + ".\n" + got.text
		fmt.Printf("## %s\n\n%s\n", one.title, text)
		if err := replacePart(filepath.Join(out, "RESULTS.md"), one.title, text); err != nil {
			return err
		}
		for file, chart := range got.charts {
			if err := os.WriteFile(filepath.Join(out, file), []byte(chart), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func partOf(name string) (part, bool) {
	for _, one := range parts {
		if one.name == name {
			return one, true
		}
	}
	return part{}, false
}

const resultsHead = "# Results\n\nWritten by `go run ./cmd/report`. [README.md](README.md) describes the cases and the compared libraries.\n"

// replacePart writes one part of a file and keeps its others.
func replacePart(file, title, text string) error {
	old, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	texts := map[string]string{}
	for _, section := range strings.Split(string(old), "\n## ")[1:] {
		heading, body, _ := strings.Cut(section, "\n\n")
		texts[heading] = strings.TrimRight(body, "\n")
	}
	texts[title] = strings.TrimRight(text, "\n")
	var b strings.Builder
	b.WriteString(resultsHead)
	for _, one := range parts {
		if body := texts[one.title]; body != "" {
			fmt.Fprintf(&b, "\n## %s\n\n%s\n", one.title, body)
		}
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

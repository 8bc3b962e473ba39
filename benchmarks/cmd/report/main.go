// Report measures every case of the suite and prints the results: times, ratios, and
// each figure that auth0grpc promises beside its bound. It writes the same text to
// RESULTS.md, and charts to results.svg and summary.svg.
//
//	go run ./cmd/report          # 15 minutes, on an idle machine
//	go run ./cmd/report -short   # under a minute, to see that it works; no figures to quote
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
	"github.com/auth0grpc/auth0grpc/internal/progress"
)

// A plan sets the amount of measuring.
type plan struct {
	rounds      int           // each case is measured once in each
	benchtime   time.Duration // of a case in a round
	floodRounds int
	flood       time.Duration // of a flood in a round
	firstUses   int           // fresh tokens during a flood
	badTokens   int           // with a stopped clock
	entries     int           // of the cache that is filled
}

var (
	full  = plan{10, 200 * time.Millisecond, 5, time.Second, 200, 100_000, 100_000}
	short = plan{1, 5 * time.Millisecond, 1, 50 * time.Millisecond, 20, 5_000, 2_000}
)

func main() {
	testing.Init() // the flags that testing.Benchmark reads
	isShort := flag.Bool("short", false, "measure a little of each, to see that it works")
	count := flag.Int("count", 0, "rounds, of which medians are taken (default 10, short 1)")
	out := flag.String("out", ".", "`directory` for RESULTS.md, results.svg and summary.svg")
	flag.Parse()
	p := full
	if *isShort {
		p = short
	}
	if *count > 0 {
		p.rounds, p.floodRounds = *count, *count
	}
	if err := run(p, *out); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(p plan, out string) error {
	s, err := suite.New()
	if err != nil {
		return err
	}
	defer s.Close()
	line := progress.New(os.Stderr)
	r, err := measure(s, p, line)
	line.Clear()
	if err != nil {
		return err
	}
	text := r.markdown()
	fmt.Print(text)
	if err := os.WriteFile(filepath.Join(out, "RESULTS.md"), []byte(text), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "summary.svg"), []byte(r.summary()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "results.svg"), []byte(r.svg()), 0o644)
}

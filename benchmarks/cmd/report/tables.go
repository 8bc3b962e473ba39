package main

import (
	"fmt"
	"strings"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
)

// A bound is a figure that auth0grpc promises, and the measured value.
type bound struct {
	figure   string
	want     string
	measured string
	ok       bool
}

// verdict returns the last column of the table.
func (b bound) verdict() string {
	if b.ok {
		return "ok"
	}
	return "**bound missed**"
}

func atMost(figure string, measured, most float64, format string) bound {
	return bound{figure, "≤ " + fmt.Sprintf(format, most), fmt.Sprintf(format, measured), measured <= most}
}

func atLeast(figure string, measured, least float64, format string) bound {
	return bound{figure, "≥ " + fmt.Sprintf(format, least), fmt.Sprintf(format, measured), measured >= least}
}

const times = "%.2f ×"

func rounds(n int) string {
	if n == 1 {
		return "1 round"
	}
	return fmt.Sprintf("%d rounds", n)
}

// row writes a line of a table.
func row(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// heading writes the head of a table. The columns after the first left ones are numbers.
func heading(b *strings.Builder, left int, cells ...string) {
	row(b, cells...)
	for i := range cells {
		if i < left {
			b.WriteString("| --- ")
		} else {
			b.WriteString("| ---: ")
		}
	}
	b.WriteString("|\n")
}

// writeBounds writes the figures of a part that have a bound.
func writeBounds(b *strings.Builder, bounds []bound) {
	b.WriteString("\n### Figures and their bounds\n\n")
	heading(b, 1, "figure", "bound", "measured", "")
	for _, one := range bounds {
		row(b, one.figure, one.want, one.measured, one.verdict())
	}
}

// writeSeries writes a table of cases.
func writeSeries(b *strings.Builder, cases []suite.Case, measured map[string]*series) {
	heading(b, 2, "", "case", "ns", "B", "allocs")
	for _, c := range cases {
		one := measured[c.Name()]
		row(b, c.Level, c.Peer, fmt.Sprintf("%.0f", one.median()), fmt.Sprint(one.bytes), fmt.Sprint(one.allocs))
	}
}

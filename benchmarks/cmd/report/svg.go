package main

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
)

// A panel is one question with an answer per library. Its scale is linear and starts at
// zero, so lengths compare by eye.
type panel struct {
	title, note string
	bars        []bar
}

// A bar is one line of a panel.
type bar struct {
	name  string
	value float64 // its length
	label string
	kind  barKind
}

// A barKind selects the colour of a bar.
type barKind string

const (
	other barKind = "bar"       // another library, or no authentication
	ours  barKind = "bar ours"  // auth0grpc
	floor barKind = "bar floor" // the floor below every library
)

// kindOf returns the kind of a peer's bar.
func kindOf(peer string) barKind {
	if peer == suite.Warm || peer == suite.Cold {
		return ours
	}
	return other
}

// Sizes in a chart, in pixels. It is 480 wide so that its text stays readable on a
// phone, where a page scales it down least.
const (
	chartWidth  = 480
	chartMargin = 12
	barMaximum  = 400
	barRow      = 46
	panelHead   = 48
)

// The colors hold on light and on dark backgrounds. A page that shows the file as
// an image passes on the reader's choice only through the media query.
const chartHead = `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="-%[3]d 0 %[4]d %[2]d" role="img" aria-label="%[5]s">
<style>
  text { font: 15px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 17px; }
  .note { fill: #59636e; font-size: 14px; }
  .name { font-weight: 600; }
  .bar { fill: #afb8c1; }
  .ours { fill: #0969da; }
  .floor { fill: none; stroke: #59636e; }
  .line { fill: none; stroke: #59636e; stroke-width: 2; }
  .ourline { stroke: #0969da; stroke-width: 3; }
  .grid { fill: none; stroke: #d1d9e0; }
  .ground { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note { fill: #9198a1; }
    .bar { fill: #59636e; }
    .ours { fill: #4493f8; }
    .floor { fill: none; stroke: #9198a1; }
    .line { stroke: #9198a1; }
    .ourline { stroke: #4493f8; }
    .grid { stroke: #3d444d; }
    .ground { fill: #0d1117; }
  }
</style>
<rect class="ground" x="-%[3]d" width="%[4]d" height="%[2]d"/>
`

// chart returns an SVG of the panels, one below the other. The label describes it to
// readers who cannot see it.
func chart(label string, panels ...panel) string {
	height := chartMargin
	for _, p := range panels {
		height += panelHead + len(p.bars)*barRow
	}
	var b strings.Builder
	fmt.Fprintf(&b, chartHead, chartWidth, height, chartMargin, chartWidth+2*chartMargin, html.EscapeString(label))
	y := 0
	for _, p := range panels {
		y = p.draw(&b, y)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// draw draws the panel from y downwards and returns its lower end.
func (p panel) draw(b *strings.Builder, y int) int {
	fmt.Fprintf(b, `<text class="title" x="0" y="%d">%s</text>`, y+22, html.EscapeString(p.title))
	fmt.Fprintf(b, `<text class="note" x="0" y="%d">%s</text>`+"\n", y+42, html.EscapeString(p.note))
	y += panelHead
	longest := slices.MaxFunc(p.bars, func(a, b bar) int { return cmp.Compare(a.value, b.value) }).value
	for _, one := range p.bars {
		name := ""
		if one.kind == ours {
			name = "name"
		}
		length := barLength(one.value, longest)
		fmt.Fprintf(b, `<text class="%s" x="0" y="%d">%s</text>`, name, y+22, html.EscapeString(one.name))
		fmt.Fprintf(b, `<rect class="%s" x="0" y="%d" width="%.1f" height="14" rx="2"/>`, one.kind, y+28, length)
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", length+8, y+40, html.EscapeString(one.label))
		y += barRow
	}
	return y
}

// barLength returns the length of a bar. A value above zero shows.
func barLength(value, longest float64) float64 {
	if value <= 0 || longest <= 0 || math.IsNaN(value) {
		return 0
	}
	return max(2, barMaximum*value/longest)
}

// shortestFirst sorts the bars of times.
func (p panel) shortestFirst() panel {
	slices.SortStableFunc(p.bars, func(a, b bar) int { return cmp.Compare(a.value, b.value) })
	return p
}

// longestFirst sorts the bars of rates.
func (p panel) longestFirst() panel {
	slices.SortStableFunc(p.bars, func(a, b bar) int { return cmp.Compare(b.value, a.value) })
	return p
}

func duration(ns float64) string {
	if ns < 10_000 {
		return fmt.Sprintf("%.2f µs", ns/1000)
	}
	return fmt.Sprintf("%.0f µs", ns/1000)
}

// grouped writes a count with a narrow space before each three digits.
func grouped(n float64) string {
	digits := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

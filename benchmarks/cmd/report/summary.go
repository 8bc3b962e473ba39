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

// A summaryPanel is one question of the summary with an answer per library. Its
// scale is linear and starts at zero, so lengths compare by eye.
type summaryPanel struct {
	title, note string
	bars        []bar
}

// Sizes in the summary, in pixels. It is 480 wide so that its text stays readable
// on a phone, where a page scales it down least.
const (
	summaryWidth  = 480
	summaryMargin = 12
	summaryBar    = 400
	summaryRow    = 46
	summaryHead   = 48
)

// The colors hold on light and on dark backgrounds. A page that shows the file as
// an image passes on the reader's choice only through the media query.
const summaryStart = `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="-%[3]d 0 %[4]d %[2]d" role="img" aria-label="%[5]s">
<style>
  text { font: 15px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 17px; }
  .note { fill: #59636e; font-size: 14px; }
  .name { font-weight: 600; }
  .bar { fill: #afb8c1; }
  .ours { fill: #0969da; }
  .ground { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note { fill: #9198a1; }
    .bar { fill: #59636e; }
    .ours { fill: #4493f8; }
    .ground { fill: #0d1117; }
  }
</style>
<rect class="ground" x="-%[3]d" width="%[4]d" height="%[2]d"/>
`

// summary returns the chart of the README: two panels, sorted, on linear scales.
func (r *results) summary() string {
	panels := []summaryPanel{r.costPanel(), r.forgedPanel()}
	height := summaryMargin
	for _, p := range panels {
		height += summaryHead + len(p.bars)*summaryRow
	}
	var b strings.Builder
	fmt.Fprintf(&b, summaryStart, summaryWidth, height, summaryMargin, summaryWidth+2*summaryMargin,
		"Time that checking a token adds to a call, and good calls per second under forged tokens")
	y := 0
	for _, p := range panels {
		y = p.draw(&b, y)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (p summaryPanel) draw(b *strings.Builder, y int) int {
	fmt.Fprintf(b, `<text class="title" x="0" y="%d">%s</text>`, y+22, html.EscapeString(p.title))
	fmt.Fprintf(b, `<text class="note" x="0" y="%d">%s</text>`+"\n", y+42, html.EscapeString(p.note))
	y += summaryHead
	longest := slices.MaxFunc(p.bars, func(a, b bar) int { return cmp.Compare(a.value, b.value) }).value
	for _, one := range p.bars {
		name, class := "", "bar"
		if one.ours {
			name, class = "name", "bar ours"
		}
		length := summaryLength(one.value, longest)
		fmt.Fprintf(b, `<text class="%s" x="0" y="%d">%s</text>`, name, y+22, html.EscapeString(one.name))
		fmt.Fprintf(b, `<rect class="%s" x="0" y="%d" width="%.1f" height="14" rx="2"/>`, class, y+28, length)
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", length+8, y+40, html.EscapeString(one.label))
		y += summaryRow
	}
	return y
}

// summaryLength returns the length of a bar. A value above zero shows.
func summaryLength(value, longest float64) float64 {
	if value <= 0 || longest <= 0 || math.IsNaN(value) {
		return 0
	}
	return max(2, summaryBar*value/longest)
}

// costPanel shows the interceptor alone, shortest first.
func (r *results) costPanel() summaryPanel {
	p := summaryPanel{title: "Time that checking the token adds to a call", note: "one core, RS256, 900 bytes; shorter is better"}
	add := func(peer, name string, ours bool) {
		ns := r.ns(at(suite.Interceptor, peer))
		p.bars = append(p.bars, bar{name, ns, duration(ns), ours})
	}
	add(suite.Warm, "auth0grpc", true)
	add(suite.Cold, "auth0grpc, cache off", true)
	for _, peer := range []string{suite.GolangJWT, suite.GoOIDC, suite.GoJWT} {
		add(peer, peer, false)
	}
	slices.SortStableFunc(p.bars, func(a, b bar) int { return cmp.Compare(a.value, b.value) })
	return p
}

// forgedPanel shows the flood of unknown keys, longest first.
func (r *results) forgedPanel() summaryPanel {
	p := summaryPanel{title: "Good calls per second under forged tokens", note: "ten forged tokens (unknown key) to one good; longer is better"}
	for _, peer := range suite.Libraries {
		rate := medianOf(r.floodsOf(floodKey{peer: peer, level: suite.Unary, kind: suite.UnknownKey}), suite.FloodResult.PerSecond)
		p.bars = append(p.bars, bar{peer, rate, grouped(rate), peer == suite.Warm})
	}
	slices.SortStableFunc(p.bars, func(a, b bar) int { return cmp.Compare(b.value, a.value) })
	return p
}

// grouped writes a count with a narrow space before each three digits.
func grouped(n float64) string {
	digits := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

package main

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// curves is one question with an answer that depends on a size. The sizes have a
// logarithmic scale; the values have a linear one that starts at zero.
type curves struct {
	title, note string
	lines       []curve
}

// A curve is one line. Its points are in the order of their sizes.
type curve struct {
	name   string // beside its legend; empty for the only one
	ours   bool
	points []point
}

type point struct {
	size  int
	value float64
}

// Sizes of curves, in pixels. The axis of values is at x = 60.
const (
	curveLeft, curveRight = 60, 460
	curveHeight           = 150
	legendRow             = 22
)

// curveChart returns an SVG of the curves, one below the other.
func curveChart(label string, all ...curves) string {
	height := chartMargin
	for _, c := range all {
		height += c.height()
	}
	var b strings.Builder
	fmt.Fprintf(&b, chartHead, chartWidth, height, chartMargin, chartWidth+2*chartMargin, html.EscapeString(label))
	y := 0
	for _, c := range all {
		c.draw(&b, y)
		y += c.height()
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (c curves) height() int { return panelHead + c.legend() + curveHeight + 50 }

func (c curves) legend() int {
	if len(c.lines) == 1 {
		return 0
	}
	return legendRow * len(c.lines)
}

// styles tell lines apart without colours: dash patterns, by the order of the lines.
var styles = []string{"", "6 4", "2 4", "10 4 2 4"}

func (c curves) draw(b *strings.Builder, y int) {
	fmt.Fprintf(b, `<text class="title" x="0" y="%d">%s</text>`, y+22, html.EscapeString(c.title))
	fmt.Fprintf(b, `<text class="note" x="0" y="%d">%s</text>`+"\n", y+42, html.EscapeString(c.note))
	top := y + panelHead + c.legend() + 8
	first, last, largest := c.extent()
	x := func(size int) float64 {
		if first == last {
			return curveLeft
		}
		share := math.Log(float64(size)/float64(first)) / math.Log(float64(last)/float64(first))
		return curveLeft + share*(curveRight-curveLeft)
	}
	height := func(value float64) float64 { return float64(top+curveHeight) - value/largest*curveHeight }
	for _, share := range []float64{0, 0.5, 1} {
		value := share * largest
		fmt.Fprintf(b, `<path class="grid" d="M%d %.1fH%d"/>`, curveLeft, height(value), curveRight)
		fmt.Fprintf(b, `<text class="note" x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", curveLeft-8, height(value)+5, scaleText(value))
	}
	for i, p := range c.lines[0].points {
		anchor := "middle"
		if i == len(c.lines[0].points)-1 {
			anchor = "end"
		}
		fmt.Fprintf(b, `<text class="note" x="%.1f" y="%d" text-anchor="%s">%s</text>`+"\n", x(p.size), top+curveHeight+22, anchor, grouped(float64(p.size)))
	}
	for i, line := range c.lines {
		class := "line"
		if line.ours {
			class += " ourline"
		}
		style := fmt.Sprintf(`class="%s" stroke-dasharray="%s"`, class, styles[i%len(styles)])
		var path strings.Builder
		for n, p := range line.points {
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(n, 1)], x(p.size), height(p.value))
		}
		fmt.Fprintf(b, `<path %s d="%s"/>`+"\n", style, path.String())
		for _, p := range line.points {
			fmt.Fprintf(b, `<circle class="%s" cx="%.1f" cy="%.1f" r="3"/>`+"\n", class, x(p.size), height(p.value))
		}
		if line.name != "" {
			at := y + panelHead + legendRow*i + 8
			fmt.Fprintf(b, `<path %s d="M0 %dH40"/><text x="50" y="%d">%s</text>`+"\n", style, at+5, at+10, html.EscapeString(line.name))
		}
	}
}

// extent returns the smallest and largest size, and a round number that no value
// exceeds.
func (c curves) extent() (first, last int, largest float64) {
	points := c.lines[0].points
	first, last = points[0].size, points[len(points)-1].size
	for _, line := range c.lines {
		for _, p := range line.points {
			largest = max(largest, p.value)
		}
	}
	return first, last, roundUp(largest)
}

// roundUp returns 1, 2, 4 or 10 times a power of ten that is at least value.
func roundUp(value float64) float64 {
	if value <= 0 || math.IsNaN(value) || math.IsInf(value, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(value)))
	for _, factor := range []float64{1, 2, 4} {
		if value <= factor*power {
			return factor * power
		}
	}
	return 10 * power
}

func scaleText(value float64) string {
	if value >= 1000 {
		return grouped(value)
	}
	return strconv.FormatFloat(value, 'g', 3, 64)
}

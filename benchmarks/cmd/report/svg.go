package main

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
)

// A panel is one group of bars, on a logarithmic scale of its own.
type panel struct {
	title string
	bars  []bar
}

// A bar is one line of a panel.
type bar struct {
	name  string
	value float64 // its length
	label string
	ours  bool
}

// Sizes in the chart, in pixels.
const (
	chartWidth  = 760
	barHeight   = 20
	barGap      = 6
	panelHead   = 44
	nameWidth   = 232
	labelWidth  = 96
	barMaximum  = chartWidth - nameWidth - labelWidth - 16
	barMinimum  = 4
	chartMargin = 16
)

// The colours hold on light and on dark: a page that shows the chart as an image
// passes the reader's choice on by the media query alone.
const chartHead = `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="%[3]s">
<style>
  text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; }
  .ground { fill: #ffffff; }
  .bar { fill: #9aa4b2; }
  .ours { fill: #2563eb; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .ground { fill: #0d1117; }
    .bar { fill: #6b7685; }
    .ours { fill: #6ea8fe; }
  }
</style>
<rect class="ground" width="%[1]d" height="%[2]d" rx="6"/>
`

// svg returns the chart.
func (r *results) svg() string {
	panels := []panel{r.interceptorPanel(), r.callPanel(), r.floodPanel(suite.UnknownKey), r.floodPanel(suite.BadSignature)}
	height := 2 * chartMargin
	for _, p := range panels {
		height += panelHead + len(p.bars)*(barHeight+barGap)
	}
	var b strings.Builder
	fmt.Fprintf(&b, chartHead, chartWidth, height, "What a call costs with each library, on logarithmic scales")
	y := chartMargin
	for _, p := range panels {
		y = p.draw(&b, y)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// draw draws the panel from y downwards and returns where it ends.
func (p panel) draw(b *strings.Builder, y int) int {
	fmt.Fprintf(b, `<text class="title" x="%d" y="%d">%s</text>`+"\n", chartMargin, y+24, html.EscapeString(p.title))
	y += panelHead - barGap
	for _, one := range p.bars {
		class := "bar"
		if one.ours {
			class = "bar ours"
		}
		length := p.length(one.value)
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, nameWidth, y+15, html.EscapeString(one.name))
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, class, nameWidth+8, y, length, barHeight)
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", nameWidth+14+length, y+15, html.EscapeString(one.label))
		y += barHeight + barGap
	}
	return y + barGap
}

// length maps value to pixels, half a decade below the smallest bar being none.
func (p panel) length(value float64) float64 {
	least, most := math.Inf(1), 0.0
	for _, one := range p.bars {
		least, most = min(least, one.value), max(most, one.value)
	}
	if value <= 0 || math.IsInf(least, 0) || least <= 0 {
		return barMinimum
	}
	from := math.Log10(least) - 0.5
	return max(barMinimum, barMaximum*(math.Log10(value)-from)/(math.Log10(most)-from))
}

func (r *results) interceptorPanel() panel {
	p := panel{title: "Interceptor alone: RS256, a token of 900 bytes, one core (log scale, shorter is better)"}
	add := func(k key, name string, ours bool) {
		p.bars = append(p.bars, bar{name, r.ns(k), duration(r.ns(k)), ours})
	}
	add(at(suite.Floor, suite.Hash), "floor: "+suite.Hash, false)
	add(at(suite.Interceptor, suite.Warm), suite.Warm, true)
	add(at(suite.Floor, suite.PublicKey), "floor: RSA-2048 verification", false)
	add(at(suite.Interceptor, suite.Cold), suite.Cold, true)
	for _, peer := range []string{suite.GolangJWT, suite.GoOIDC, suite.GoJWT} {
		add(at(suite.Interceptor, peer), peer, false)
	}
	return p
}

func (r *results) callPanel() panel {
	p := panel{title: "Unary RPC over bufconn, client and server, one core (log scale, shorter is better)"}
	for _, peer := range suite.Peers {
		ns := r.ns(at(suite.Unary, peer))
		p.bars = append(p.bars, bar{peer, ns, duration(ns), peer == suite.Warm || peer == suite.Cold})
	}
	return p
}

func (r *results) floodPanel(kind suite.Flood) panel {
	p := panel{title: "Good calls per second in a flood, ten to one: " + string(kind) + " (log scale, longer is better)"}
	for _, peer := range suite.Libraries {
		rate := medianOf(r.floodsOf(floodKey{peer: peer, level: suite.Unary, kind: kind}), suite.FloodResult.PerSecond)
		p.bars = append(p.bars, bar{peer, rate, fmt.Sprintf("%.0f", rate), peer == suite.Warm})
	}
	return p
}

func duration(ns float64) string {
	if ns < 10_000 {
		return fmt.Sprintf("%.2f µs", ns/1000)
	}
	return fmt.Sprintf("%.0f µs", ns/1000)
}

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// writeText writes the groups in columns, and then the counts.
func (r *replayReport) writeText(w io.Writer, color bool) error {
	var b bytes.Buffer
	r.writeChanges(&b, color)
	if len(r.NotListed) > 0 {
		b.WriteString("The new table has no row for:\n")
		columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		for _, m := range r.NotListed {
			fmt.Fprintf(columns, "%s\t  %s\n", countText(m.Calls), shown(m.Method))
		}
		columns.Flush() // a bytes.Buffer returns no errors
		if r.NotListedOthers > 0 {
			fmt.Fprintf(&b, "and for methods of %s\n", calls(r.NotListedOthers))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s: %s\n", calls(r.Decisions), r.countsText())
	for _, p := range r.Policies[:min(len(r.Policies), 10)] {
		fmt.Fprintf(&b, "log   policy %s: %s\n", shown(p.Policy), calls(p.Calls))
	}
	fmt.Fprintf(&b, "new   policy %s\n", r.Policy)
	if r.SkippedLines > 0 {
		fmt.Fprintf(&b, "note  %s of the log skipped: no decisions\n", lines(r.SkippedLines))
	}
	if r.DamagedLines > 0 {
		fmt.Fprintf(&b, "note  %s of the log damaged, so the result is incomplete\n", lines(r.DamagedLines))
	}
	for _, d := range r.Damaged {
		fmt.Fprintf(&b, "      %s:%d: %s\n", r.Log, d.Line, d.Fault)
	}
	for _, note := range r.notes {
		fmt.Fprintf(&b, "note  %s\n", note)
	}
	if r.Review > 0 {
		fmt.Fprintf(&b, "Review %s: newly allowed, or refused before and undecided now. Allow a method with -allow.\n", calls(r.Review))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeChanges writes a line for each group.
func (r *replayReport) writeChanges(b *bytes.Buffer, color bool) {
	if len(r.Changes) == 0 {
		return
	}
	var text strings.Builder
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	width := 0
	for i := range r.Changes {
		width = max(width, len(countText(r.Changes[i].Calls)))
	}
	for i := range r.Changes {
		c := &r.Changes[i]
		fmt.Fprintf(columns, "%s\t%*s\t%s\t%s\t%s\n", c.label(), width, countText(c.Calls), shown(c.Method), shown(c.Client), c.effect())
	}
	columns.Flush() // a strings.Builder returns no errors
	for i, line := range strings.SplitAfter(strings.TrimSuffix(text.String(), "\n"), "\n") {
		if c := &r.Changes[i]; color && c.color() != "" {
			line = c.color() + c.label() + colorNone + strings.TrimPrefix(line, c.label())
		}
		b.WriteString(line)
	}
	b.WriteByte('\n')
	if r.Others > 0 {
		fmt.Fprintf(b, "and %s in further groups\n", calls(r.Others))
	}
	b.WriteByte('\n')
}

// label returns the change, and whether it is allowed.
func (c *replayCount) label() string {
	if c.Allowed {
		return string(c.Change) + " (allowed)"
	}
	return string(c.Change)
}

func (c *replayCount) color() string {
	switch {
	case c.Allowed:
		return colorYellow
	case c.mayPass():
		return colorRed
	case c.Change == newlyRefused:
		return colorYellow
	}
	return ""
}

// effect returns both outcomes with their reasons.
func (g *replayGroup) effect() string {
	old := strings.TrimSpace(string(g.Old) + " " + string(g.OldReason))
	return old + " -> " + strings.TrimSpace(string(g.New)+" "+string(g.NewReason)+" "+g.Why)
}

// countsText returns the number of calls by change.
func (r *replayReport) countsText() string {
	var parts []string
	for _, change := range replayChanges {
		if n := r.Counts[change]; n > 0 {
			parts = append(parts, countText(n)+" "+string(change))
		}
	}
	return strings.Join(parts, ", ")
}

// countText returns a number with commas between thousands.
func countText(n int) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func calls(n int) string { return countOf(n, "call") }
func lines(n int) string { return countOf(n, "line") }

func countOf(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return countText(n) + " " + noun + "s"
}

// shown returns a text for a column: "-" if it is empty.
func shown(text string) string { return cmp.Or(text, "-") }

// writeJSON writes a report for other programs.
func writeJSON(w io.Writer, report any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(report)
}

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/auth0grpc/auth0grpc/policy"
)

// Escape sequences of a terminal.
const (
	colorRed    = "\x1b[31m"
	colorGreen  = "\x1b[32m"
	colorYellow = "\x1b[33m"
	colorNone   = "\x1b[0m"
)

func changeColor(e *diffEntry) string {
	switch {
	case e.needsReview():
		return colorRed
	case e.Allowed:
		return colorYellow
	case e.Change == policy.Tighter:
		return colorGreen
	}
	return ""
}

// label returns the change, and whether it is allowed.
func (e *diffEntry) label() string {
	if e.Allowed {
		return e.Change.String() + " (allowed)"
	}
	return e.Change.String()
}

// wrap divides a text at spaces into lines of at most width bytes. A longer word has a
// line of its own.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// writeText writes the methods that changed, one below the other, and then the counts.
func (r *diffReport) writeText(w io.Writer, color bool) error {
	var b strings.Builder
	width := 0
	for i := range r.Differences {
		if e := &r.Differences[i]; !e.isSame() {
			width = max(width, len(e.label()))
		}
	}
	indent := strings.Repeat(" ", width+2)
	for i := range r.Differences {
		e := &r.Differences[i]
		if e.isSame() {
			continue
		}
		label := e.label() + indent[len(e.label()):]
		if c := changeColor(e); color && c != "" {
			label = c + e.label() + colorNone + indent[len(e.label()):]
		}
		fmt.Fprintf(&b, "%s%s\n", label, e.Method)
		fmt.Fprintf(&b, "%sold  %s\n", indent, rowText(e.Old, e.Method))
		fmt.Fprintf(&b, "%snew  %s\n", indent, rowText(e.New, e.Method))
		for _, line := range wrap(e.Sentence, 100-len(indent)) {
			fmt.Fprintf(&b, "%s%s\n", indent, line)
		}
		b.WriteByte('\n')
	}
	b.WriteString(r.countsText() + "\n")
	for _, note := range r.notes {
		fmt.Fprintf(&b, "note  %s\n", note)
	}
	if r.Looser > 0 {
		b.WriteString("Review the methods that are looser. Allow each with -allow.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// rowText returns a rule, and the row if that is not the method's own.
func rowText(row policy.Row, method string) string {
	if row.Pattern != "" && row.Pattern != method {
		return shorten(row.String()) + "  (row " + row.Pattern + ")"
	}
	return shorten(row.String())
}

// shorten cuts a long text. JSON has the whole of a rule.
func shorten(text string) string {
	const maxLength = 300
	if len(text) <= maxLength {
		return text
	}
	return strings.ToValidUTF8(text[:maxLength], "") + " …"
}

// writeMarkdown writes a table for a comment on a pull request.
func (r *diffReport) writeMarkdown(w io.Writer) error {
	var b strings.Builder
	switch r.Looser {
	case 0:
		b.WriteString("### Policy: no method is looser\n\n")
	case 1:
		b.WriteString("### Policy: 1 method is looser\n\n")
	default:
		fmt.Fprintf(&b, "### Policy: %d methods are looser\n\n", r.Looser)
	}
	header := false
	for i := range r.Differences {
		e := &r.Differences[i]
		if e.isSame() {
			continue
		}
		if !header {
			b.WriteString("| change | method | old rule | new rule | effect |\n|---|---|---|---|---|\n")
			header = true
		}
		label := e.label()
		if e.needsReview() {
			label = "**" + label + "**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n",
			label, markdownCode(e.Method), markdownRow(e.Old, e.Method), markdownRow(e.New, e.Method), markdownText(e.Sentence))
	}
	if header {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s.\n", r.countsText())
	for _, note := range r.notes {
		fmt.Fprintf(&b, "\n%s\n", markdownText(note))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func markdownRow(row policy.Row, method string) string {
	text := markdownCode(shorten(row.String()))
	if row.Pattern == "" {
		text = row.String()
	} else if row.Pattern != method {
		text += " (row " + markdownCode(row.Pattern) + ")"
	}
	return text
}

// markdownCode returns a text as code in a cell of a table. A name may contain every
// printable character of ASCII but the space, the quote and the backslash.
func markdownCode(text string) string {
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if fence != "`" {
		text = " " + text + " "
	}
	return fence + strings.ReplaceAll(text, "|", `\|`) + fence
}

// markdownText returns a text without a meaning in Markdown.
func markdownText(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune("\\`*_{}[]<>()#+!|&~$@", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

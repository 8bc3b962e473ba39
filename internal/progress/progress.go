// Package progress shows the progress of a long command on a terminal.
package progress

import (
	"fmt"
	"io"
	"os"
	"time"
)

// columns is the width of the line. A longer text would wrap, and the next one would
// not replace all of it.
const columns = 79

// A Line is one line of a terminal that shows the current step of a command. A nil Line
// shows nothing. A Line is for one goroutine.
type Line struct {
	out   io.Writer
	now   func() time.Time
	start time.Time
}

// New returns a line on out, or nil if out is not a terminal. TERM=dumb, which cannot
// rewrite a line, counts as no terminal.
func New(out *os.File) *Line {
	info, err := out.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return newLine(out, time.Now)
}

func newLine(out io.Writer, now func() time.Time) *Line {
	return &Line{out, now, now()}
}

// Step replaces the line by the time since [New] and a text without line breaks. It
// shortens a text that does not fit.
func (l *Line) Step(format string, args ...any) {
	if l == nil {
		return
	}
	elapsed := l.now().Sub(l.start).Truncate(time.Second)
	text := []rune(fmt.Sprintf("%5s  "+format, append([]any{elapsed}, args...)...))
	fmt.Fprintf(l.out, "\r\x1b[K%s", string(text[:min(len(text), columns)]))
}

// Clear removes the line, so that results can follow.
func (l *Line) Clear() {
	if l != nil {
		fmt.Fprint(l.out, "\r\x1b[K")
	}
}

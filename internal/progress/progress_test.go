package progress

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLine(t *testing.T) {
	now := time.Unix(1, 0)
	var out strings.Builder
	l := newLine(&out, func() time.Time { return now })
	l.Step("round %d of %d", 1, 10)
	now = now.Add(72*time.Second + time.Millisecond)
	l.Step("%s", strings.Repeat("ü", 100))
	l.Clear()
	want := "\r\x1b[K   0s  round 1 of 10" + "\r\x1b[K1m12s  " + strings.Repeat("ü", columns-7) + "\r\x1b[K"
	if got := out.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A file and a dumb terminal get nothing.
func TestNew(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	l := New(file)
	l.Step("x")
	l.Clear()
	if text, err := os.ReadFile(file.Name()); err != nil || len(text) > 0 {
		t.Errorf("the file has %q, %v", text, err)
	}
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	t.Setenv("TERM", "xterm")
	if New(device) == nil {
		t.Error("a terminal gets no line")
	}
	t.Setenv("TERM", "dumb")
	if New(device) != nil {
		t.Error("a dumb terminal gets a line")
	}
}

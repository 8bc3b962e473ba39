package integration

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen, such as the start of a
// program of others. It ends a test that hangs, and no test asserts it.
const patience = 2 * time.Minute

// A process is a program of others that runs beside the test until it ends.
type process struct {
	command *exec.Cmd
	input   io.WriteCloser
	lines   chan string
	ready   string        // the rest of the line after "ready"
	done    chan struct{} // closed when it has ended
	stderr  bytes.Buffer  // read after the end
}

// start runs a program and waits, for no longer than patience, for a line of standard
// output that begins with "ready".
func start(t testing.TB, command *exec.Cmd) *process {
	t.Helper()
	p := run(t, command)
	p.ready = p.expect(t, "ready")
	return p
}

// run starts a program that is killed when the test ends.
func run(t testing.TB, command *exec.Cmd) *process {
	t.Helper()
	p := &process{command: command, lines: make(chan string, 100), done: make(chan struct{})}
	var err error
	if p.input, err = command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = &p.stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(output)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said: %s", command.Args, &p.stderr)
		}
	})
	return p
}

func (p *process) read(output io.Reader) {
	defer close(p.done)
	defer close(p.lines)
	for scanner := bufio.NewScanner(output); scanner.Scan(); {
		select {
		case p.lines <- scanner.Text():
		default: // the test has stopped reading
		}
	}
}

// expect waits for a line that begins with a word, and returns the rest of it.
func (p *process) expect(t testing.TB, word string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("%s ended before it said %q", p.command.Args, word)
			}
			if rest, ok := strings.CutPrefix(line, word); ok {
				return strings.TrimSpace(rest)
			}
		case <-deadline:
			t.Fatalf("%s did not say %q within %v", p.command.Args, word, patience)
		}
	}
}

// kill ends the process as a crash does, and waits for its end.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have ended before
	<-p.done
	_ = p.command.Wait() // it was killed, which is an error
}

// freePort returns a port of 127.0.0.1 without a listener.
func freePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

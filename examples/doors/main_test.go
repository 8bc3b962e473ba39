package main

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// start runs the program on a free port, and returns its output up to the last command.
func start(t *testing.T) []string {
	t.Helper()
	read, write := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		err := run(ctx, "127.0.0.1:0", strings.NewReader(""), write)
		_ = write.CloseWithError(io.EOF)
		stopped <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	var printed []string
	for scan := bufio.NewScanner(read); scan.Scan(); {
		printed = append(printed, scan.Text())
		if strings.HasSuffix(scan.Text(), "/.well-known/oauth-protected-resource") {
			break
		}
	}
	return printed
}

// Each printed curl line gets the answer that the line above it announces.
func TestPrintedLines(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	printed := start(t)
	exports, ran := "", 0
	for i, text := range printed {
		switch {
		case strings.HasPrefix(text, "export "):
			exports += text + "\n"
		case strings.HasPrefix(text, "curl "):
			ran++
			door, answer, _ := strings.Cut(strings.TrimPrefix(printed[i-1], "# "), ": ")
			got, err := exec.CommandContext(t.Context(), "sh", "-c", exports+"curl -sS "+strings.TrimPrefix(text, "curl ")).CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s", door, err, got)
			}
			status, code, _ := strings.Cut(answer, " ")
			if !strings.HasPrefix(string(got), "HTTP/1.1 "+status) || !strings.Contains(string(got), code) {
				t.Errorf("%s: want %s, got\n%s", door, answer, got)
			}
		}
	}
	if ran < 10 {
		t.Errorf("%d curl lines in\n%s", ran, strings.Join(printed, "\n"))
	}
}

// The address must be one that only this machine can reach.
func TestOtherAddress(t *testing.T) {
	if err := run(t.Context(), "0.0.0.0:0", strings.NewReader(""), io.Discard); err == nil || !strings.Contains(err.Error(), "Resource") {
		t.Errorf("error %v, want one about Resource", err)
	}
}

package auth0grpc_test

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
)

// A sink is where a slog handler writes to.
type sink struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines.Write(p)
}

// take returns the text written since the last take.
func (s *sink) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.lines.Reset()
	return s.lines.String()
}

// wait is take as soon as there is a line.
func (s *sink) wait(tb testing.TB) (text string) {
	tb.Helper()
	eventually(tb, "a line in the log", func() bool {
		text = s.take()
		return text != ""
	})
	return text
}

// String returns the text written since the last take, which it keeps.
func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines.String()
}

func (s *sink) logger() *slog.Logger { return slog.New(slog.NewTextHandler(s, nil)) }

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/auth0grpc/auth0grpc/auth0grpclog"
)

// maxReplayLine bounds a line of a log. Lines of decisions are shorter.
const maxReplayLine = 256 << 10

// maxDamaged bounds the damaged lines that a report names.
const maxDamaged = 10

// read evaluates each line of a log. It holds one line at a time.
func (r *replayReport) read(log io.Reader) error {
	lines := bufio.NewReaderSize(log, maxReplayLine)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			isOurs := bytes.Contains(line, []byte(`"auth0grpc.decision"`))
			if err = skipLine(lines); isOurs {
				r.addDamaged(n, fmt.Sprintf("the line is longer than %d KiB", maxReplayLine>>10))
			} else {
				r.SkippedLines++
			}
			line = nil
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("%s: %w", r.Log, err)
		}
		if parseErr := r.addLine(n, line); parseErr != nil {
			return parseErr
		}
		if err == io.EOF {
			return nil
		}
	}
}

// skipLine reads to the end of a line.
func skipLine(lines *bufio.Reader) error {
	for {
		if _, err := lines.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// addLine evaluates one line. The error is for a log that cannot be evaluated.
func (r *replayReport) addLine(n int, line []byte) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	d, err := auth0grpclog.ParseLine(line)
	var version *auth0grpclog.VersionError
	switch {
	case err == nil:
		r.add(&d)
	case errors.Is(err, auth0grpclog.ErrNoDecision):
		r.SkippedLines++
	case errors.As(err, &version):
		return fmt.Errorf("%s:%d: %s; use the command of the release that wrote the log", r.Log, n, withoutPackage(err))
	default:
		r.addDamaged(n, withoutPackage(err))
	}
	return nil
}

func (r *replayReport) addDamaged(n int, fault string) {
	r.DamagedLines++
	if len(r.Damaged) < maxDamaged {
		r.Damaged = append(r.Damaged, damagedLine{n, fault})
	}
}

// withoutPackage returns the text of an error without the name of its package.
func withoutPackage(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "auth0grpclog: "), "auth0grpc: ")
}

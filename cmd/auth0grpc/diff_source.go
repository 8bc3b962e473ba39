package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"google.golang.org/protobuf/types/descriptorpb"
)

// readRevision reads a file, or one in a Git revision, as in main:policy.json. A file of
// that name comes first.
func readRevision(ctx context.Context, name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if err == nil {
		return append([]byte{}, data...), nil // not nil, even if the file is empty
	}
	revision, _, ok := strings.Cut(name, ":")
	if !ok || !errors.Is(err, os.ErrNotExist) || len(revision) < 2 { // "c:" is a drive
		return nil, err
	}
	// cat-file prints the file as it was committed, and runs no filter and no pager.
	command := exec.CommandContext(ctx, "git", "cat-file", "blob", "--end-of-options", name)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			err = errors.New(text)
		}
		return nil, fmt.Errorf("%s is no file, and git cannot read it: %w", name, err)
	}
	return append([]byte{}, stdout.Bytes()...), nil
}

// isDescriptorSet reports whether data is a descriptor set and not JSON. The first byte
// of such a set is a line feed, with which a JSON file may begin as well.
func isDescriptorSet(data []byte) bool {
	if len(data) == 0 || data[0] != '\n' {
		return false
	}
	set := new(descriptorpb.FileDescriptorSet)
	return rawOptions.Unmarshal(data, set) == nil && len(set.File) > 0
}

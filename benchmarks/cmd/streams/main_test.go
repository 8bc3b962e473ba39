package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/benchmarks/suite"
)

func TestMain(m *testing.M) {
	suite.BodiesServer()
	os.Exit(m.Run())
}

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out, plan{2, time.Millisecond, 50, 2 * time.Second, 1, 20, 100_000}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 39 || strings.Contains(out.String(), "NaN") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

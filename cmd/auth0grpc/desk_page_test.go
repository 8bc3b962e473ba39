package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// deskPage returns the sh blocks of docs/desk-tenant.md.
func deskPage(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/desk-tenant.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, match := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		blocks = append(blocks, match[1])
	}
	if len(blocks) != 6 {
		t.Fatalf("the page has %d blocks of commands, want 6", len(blocks))
	}
	return blocks
}

// A deskShell runs blocks of the page with programs that are built once. The test
// replaces ports and files, because the page's own may be in use.
type deskShell struct {
	programs, work string
	replace        *strings.Replacer
}

func newDeskShell(t *testing.T) deskShell {
	t.Helper()
	s := deskShell{programs: t.TempDir(), work: t.TempDir()}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", s.programs, "./cmd/auth0grpc", "./examples/server", "./examples/client")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	config, _, _ := deskFile(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	port := regexp.MustCompile(`"port": (\d+)`).FindSubmatch(text)[1]
	protos, err := filepath.Abs("../../examples/internal/orders/v1")
	if err != nil {
		t.Fatal(err)
	}
	certificate := regexp.MustCompile(`"certificate": "([^"]+)"`).FindSubmatch(text)[1]
	address := "localhost:" + strconv.Itoa(freePort(t))
	s.replace = strings.NewReplacer(
		"go run ./cmd/auth0grpc tenant", filepath.Join(s.programs, "auth0grpc")+" tenant -config "+config,
		"go run ./cmd/auth0grpc token", filepath.Join(s.programs, "auth0grpc")+" token -config "+config,
		"go run ./cmd/auth0grpc block", filepath.Join(s.programs, "auth0grpc")+" block -config "+config,
		"go run ./examples/server", filepath.Join(s.programs, "server")+" -addr "+address,
		"go run ./examples/client", filepath.Join(s.programs, "client")+" -addr "+address,
		"examples/internal/orders/v1", protos,
		"localhost:50051", address,
		"tenant.pem", string(certificate),
		"8443", string(port),
	)
	return s
}

func (s deskShell) command(t *testing.T, block string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sh", "-e", "-c", "exec 2>&1\n"+s.replace.Replace(block))
	command.Dir = s.work
	return command
}

// start runs a block that serves until the test ends, once it prints text.
func (s deskShell) start(t *testing.T, block, text string) {
	t.Helper()
	// The last line becomes the shell's own process, so that Kill reaches it.
	lines := strings.Split(strings.TrimSpace(block), "\n")
	lines[len(lines)-1] = "exec " + lines[len(lines)-1]
	command := s.command(t, strings.Join(lines, "\n"))
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	var seen []string
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		seen = append(seen, scanner.Text())
		if strings.Contains(scanner.Text(), text) {
			return
		}
	}
	t.Fatalf("%q ends without %q:\n%s", block, text, strings.Join(seen, "\n"))
}

// The commands of the page work, in its order.
func TestDeskPage(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("the page's commands need sh")
	}
	blocks := deskPage(t)
	s := newDeskShell(t)
	s.start(t, blocks[0], "Ctrl-C")
	s.start(t, blocks[1], "serving on")
	out, err := s.command(t, blocks[2]).CombinedOutput()
	if want := "listed  1: tea for orders-worker@clients"; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("the client: %v, want %q\n%s", err, want, out)
	}
	t.Run("grpcurl", func(t *testing.T) {
		if _, err := exec.LookPath("grpcurl"); err != nil {
			t.Skip("grpcurl is not installed")
		}
		out, err := s.command(t, blocks[3]).CombinedOutput()
		if want := `"owner": "auth0|alice"`; err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v, want %q\n%s", err, want, out)
		}
	})
	out, err = s.command(t, blocks[4]).CombinedOutput()
	if tokens := strings.Count(string(out), "eyJ") / 2; err != nil || tokens != 5 {
		t.Errorf("%d tokens, %v; want 5\n%s", tokens, err, out)
	}
	out, err = s.command(t, blocks[5]).CombinedOutput()
	if want := "the event that auth0|alice is blocked"; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v, want %q\n%s", err, want, out)
	}
}

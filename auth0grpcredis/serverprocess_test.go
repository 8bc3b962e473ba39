package auth0grpcredis

import (
	"encoding/json"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// processPatience only ends a test that hangs.
const processPatience = 3 * time.Minute

// A serverProcess is a process of the test binary. It reads a JSON value from its standard
// input and answers with one on its standard output, again and again.
type serverProcess struct {
	cmd     *exec.Cmd
	mu      sync.Mutex // one question at a time
	ask     *json.Encoder
	answers *json.Decoder
	pipe    *os.File // of the answers
	conn    *grpc.ClientConn
	killed  bool
}

// startProcess starts a process with one more variable in its environment. The process
// ends with the test.
func startProcess(tb testing.TB, env string) *serverProcess {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), env)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	p := &serverProcess{cmd: cmd, ask: json.NewEncoder(stdin), answers: json.NewDecoder(stdout), pipe: stdout.(*os.File)}
	tb.Cleanup(func() {
		stdin.Close()
		if p.killed {
			return
		}
		kill := time.AfterFunc(processPatience, func() { cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("server process: %v", err)
		}
	})
	return p
}

// dial connects to the gRPC server of the process.
func (p *serverProcess) dial(tb testing.TB, address string) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	p.conn = conn
	return conn
}

// exchange asks the process a question and waits for the answer.
func (p *serverProcess) exchange(tb testing.TB, question, answer any) {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.pipe.SetReadDeadline(time.Now().Add(processPatience)); err != nil {
		tb.Fatal(err)
	}
	if err := p.ask.Encode(question); err != nil {
		tb.Fatal(err)
	}
	if err := p.answers.Decode(answer); err != nil {
		tb.Fatal(err)
	}
}

// kill ends the process as a power cut would.
func (p *serverProcess) kill(tb testing.TB) {
	tb.Helper()
	p.killed = true
	if err := p.cmd.Process.Kill(); err != nil {
		tb.Fatal(err)
	}
	_ = p.cmd.Wait()
	p.conn.Close()
}

package suite

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// Tap is the level of the tap handle alone, on calls that it lets pass.
const Tap = "tap handle"

// Tokens for the tap handle.
const (
	Known   = "token in the cache"
	Unknown = "token that is not in the cache"
)

// TapCases returns good calls of the tap handle.
func (s *Suite) TapCases() ([]Case, error) {
	guard, err := s.guard()
	if err != nil {
		return nil, err
	}
	known, unknown := s.Token("RS256", Small), s.mintMany("RS256", 1)[0]
	_, err = guard.UnaryServerInterceptor()(incoming(known), nil, emptyCall, func(context.Context, any) (any, error) { return nil, nil })
	if err != nil {
		return nil, err
	}
	handle := guard.TapHandle()
	var all []Case
	for _, one := range []struct{ name, token string }{{Known, known}, {Unknown, unknown}} {
		ctx := incoming(one.token)
		header, _ := metadata.FromIncomingContext(ctx)
		info := &tap.Info{FullMethodName: emptyCall.FullMethod, Header: header}
		all = append(all, Case{Tap, one.name, "RS256", Small, func(b *testing.B) {
			inParallel(b, func() error { _, err := handle(ctx, info); return err })
		}})
	}
	return all, nil
}

// A BodiesServing configures the server of [Bodies].
type BodiesServing struct {
	Tap bool
	// Narrow keeps the window of a stream at 64 KiB. A client may send that much before
	// it receives a refusal. Otherwise grpc-go widens the window by its own estimate:
	// on a loopback device to more than any body.
	Narrow bool
}

// A BodiesResult is the cost of calls without a token for the server.
type BodiesResult struct {
	Calls     int
	Read      int64         // bytes from the network
	CPU       time.Duration // of the server's process
	Allocated uint64        // bytes of heap, in total
}

// serverEnv makes a process the server of [Bodies].
const serverEnv = "SUITE_TAP_SERVER"

// BodiesServer serves and exits if [Bodies] started this process as its server. A program
// that calls Bodies must call it first.
func BodiesServer() {
	kind := os.Getenv(serverEnv)
	if kind == "" {
		return
	}
	if err := serveBodies(BodiesServing{strings.Contains(kind, "tap"), strings.Contains(kind, "narrow")}); err != nil {
		fmt.Fprintln(os.Stderr, "suite:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveBodies prints its address, serves until standard input ends, and then prints its
// [BodiesResult].
func serveBodies(how BodiesServing) error {
	s, err := New()
	if err != nil {
		return err
	}
	defer s.Close()
	guard, err := s.guard()
	if err != nil {
		return err
	}
	options := guard.ServerOptions()
	if how.Tap {
		options = append(options, grpc.InTapHandle(guard.TapHandle()))
	}
	if how.Narrow {
		options = append(options, grpc.StaticStreamWindowSize(64<<10))
	}
	server := grpc.NewServer(options...)
	testgrpc.RegisterTestServiceServer(server, service{})
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	listener := &countingListener{Listener: plain}
	go func() { _ = server.Serve(listener) }() // ends with Stop
	defer server.Stop()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu := cpuTime()
	fmt.Println(plain.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	result := BodiesResult{Read: listener.read.Load(), CPU: cpuTime() - cpu}
	runtime.ReadMemStats(&after)
	result.Allocated = after.TotalAlloc - before.TotalAlloc
	return json.NewEncoder(os.Stdout).Encode(result)
}

// Bodies makes calls without a token, with bodies of size bytes. The server runs in a
// process of its own, so the result does not include the client's cost.
func Bodies(how BodiesServing, calls, size int) (BodiesResult, error) {
	program, err := os.Executable()
	if err != nil {
		return BodiesResult{}, err
	}
	server := exec.Command(program)
	kind := "plain"
	if how.Tap {
		kind += " tap"
	}
	if how.Narrow {
		kind += " narrow"
	}
	server.Env = append(os.Environ(), serverEnv+"="+kind)
	server.Stderr = os.Stderr
	stop, err := server.StdinPipe()
	if err != nil {
		return BodiesResult{}, err
	}
	answers, err := server.StdoutPipe()
	if err != nil {
		return BodiesResult{}, err
	}
	if err := server.Start(); err != nil {
		return BodiesResult{}, err
	}
	defer func() { _ = server.Wait() }()
	defer stop.Close()
	lines := bufio.NewScanner(answers)
	if !lines.Scan() {
		return BodiesResult{}, errors.New("suite: the server did not start")
	}
	if err := callWithBodies(lines.Text(), calls, size); err != nil {
		return BodiesResult{}, err
	}
	if err := stop.Close(); err != nil {
		return BodiesResult{}, err
	}
	if !lines.Scan() {
		return BodiesResult{}, errors.New("suite: the server did not print its result")
	}
	var result BodiesResult
	err = json.Unmarshal(lines.Bytes(), &result)
	result.Calls = calls
	return result, err
}

// callWithBodies makes the calls on a few connections, one at a time on each.
func callWithBodies(address string, calls, size int) error {
	const connections = 4
	request := &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: make([]byte, size)}}
	failures := make([]error, connections)
	var made atomic.Int64
	var group sync.WaitGroup
	for n := range connections {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		defer conn.Close()
		client := testgrpc.NewTestServiceClient(conn)
		group.Go(func() {
			for made.Add(1) <= int64(calls) {
				if _, err := client.UnaryCall(context.Background(), request); status.Code(err) != codes.Unauthenticated {
					failures[n] = fmt.Errorf("suite: a call without a token: %w", err)
					return
				}
			}
		})
	}
	group.Wait()
	return errors.Join(failures...)
}

// A countingListener counts the bytes that its connections read.
type countingListener struct {
	net.Listener
	read atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return countingConn{conn, l}, err
}

type countingConn struct {
	net.Conn
	of *countingListener
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.of.read.Add(int64(n))
	return n, err
}

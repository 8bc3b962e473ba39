package auth0grpc

import (
	"bytes"
	"runtime"
	"strconv"
)

// gRPC keeps the name that a handler gives to [grpc.SetSendCompressor] in a plain field
// of its transport stream. The header of the response reads that field, and so does
// WriteStatus if no header was sent. An end under the handler calls WriteStatus on
// another goroutine, so the two must be ordered.
//
// SetSendCompressor works only with gRPC's own type, so a handler gets that type
// through it, and through no other function. From then on a status waits for proof that
// SetSendCompressor has returned. Each of these is a proof:
//   - SendMsg or SendHeader, with which gRPC forbids to call it concurrently;
//   - RecvMsg on the same goroutine;
//   - the return of the handler.
//
// The context has ended meanwhile, and the gate is closed.

// Values of guardedStream.compressor other than the number of the goroutine in
// SetSendCompressor.
const (
	compressorSettled  = 0
	severalCompressors = -1 // several goroutines; RecvMsg proves nothing
)

// The functions of gRPC that need its own type.
const (
	lookupFunction      = "google.golang.org/grpc.ServerTransportStreamFromContext"
	setCompressor       = "google.golang.org/grpc.SetSendCompressor"
	supportedCompressor = "google.golang.org/grpc.ClientSupportedCompressors"
)

// handlerTransport returns the transport stream for a look-up by the handler.
func (g *guardedStream) handlerTransport() any {
	if g.writer() == nil {
		return gatedTransport{g}
	}
	switch transportUser() {
	case supportedCompressor: // reads a field that never changes
		return g.transport
	case setCompressor:
		if g.beginCompressor() {
			return g.transport
		}
	}
	return gatedStatusTransport{gatedTransport{g}}
}

// beginCompressor reports whether SetSendCompressor may proceed. It is refused once the
// stream has ended.
func (g *guardedStream) beginCompressor() bool {
	if g.ended.Load() {
		return false
	}
	goroutine := goroutineNumber()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.endReason != nil {
		return false
	}
	if current := g.compressor.Load(); current != compressorSettled && current != goroutine {
		goroutine = severalCompressors
	}
	g.compressor.Store(goroutine)
	return true
}

// settleCompressor is called before each operation that can prove that
// SetSendCompressor has returned. It sends a status that waited for the proof.
func (g *guardedStream) settleCompressor(sends bool) {
	current := g.compressor.Load()
	if current == compressorSettled {
		return
	}
	if !sends && (current == severalCompressors || current != goroutineNumber()) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.compressor.Store(compressorSettled)
	if g.statusOwed {
		g.statusOwed = false
		_ = g.writer().WriteStatus(g.endReason.status)
	}
}

// transportUser returns the name of the function that looks up the transport
// stream in a context, or "" if the look-up is not gRPC's.
func transportUser() string {
	var counters [32]uintptr
	frames := runtime.CallersFrames(counters[:runtime.Callers(3, counters[:])])
	for {
		frame, more := frames.Next()
		if !more {
			return ""
		}
		if frame.Function == lookupFunction {
			user, _ := frames.Next()
			return user.Function
		}
	}
}

// goroutineNumber returns the number of the calling goroutine, from the first
// line of its stack: "goroutine 18 [running]:". It returns severalCompressors if
// the line reads otherwise.
func goroutineNumber() int64 {
	var line [32]byte
	return parseGoroutine(line[:runtime.Stack(line[:], false)])
}

func parseGoroutine(line []byte) int64 {
	fields := bytes.Fields(line)
	if len(fields) < 2 {
		return severalCompressors
	}
	number, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil || number <= 0 {
		return severalCompressors
	}
	return number
}

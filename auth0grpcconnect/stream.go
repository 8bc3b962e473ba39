package auth0grpcconnect

import (
	"context"
	"errors"
	"sync"

	"connectrpc.com/connect/v2"

	"github.com/auth0grpc/auth0grpc"
)

// A guardedStream is a stream as its handler sees it. After its end no operation of the
// handler reaches Connect.
type guardedStream struct {
	stream  connect.ServerStream
	open    *auth0grpc.OpenStream
	refused error // of a unary call: the refusal of its message

	mu sync.Mutex // is held by a Send, which must not outlive the call
}

func (g *guardedStream) Receive(msg any) error {
	if err := g.endError(); err != nil {
		return err
	}
	err := g.stream.Receive(msg)
	if end := g.endError(); end != nil {
		return end
	}
	var refusal *auth0grpc.Refusal
	if err = g.open.Received(msg, err); errors.As(err, &refusal) {
		g.refused = err
	}
	return err
}

func (g *guardedStream) SendHeaders() error {
	return g.send(g.stream.SendHeaders)
}

func (g *guardedStream) Send(msg any) error {
	return g.send(func() error { return g.stream.Send(msg) })
}

func (g *guardedStream) send(operation func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.endError(); err != nil {
		return err
	}
	if err := g.open.Sends(); err != nil {
		return err
	}
	return operation()
}

// endError returns the reason for which the server ended the stream, or nil.
func (g *guardedStream) endError() error {
	if g.open.Context().Err() == nil {
		return nil
	}
	var reason *auth0grpc.Refusal
	if errors.As(context.Cause(g.open.Context()), &reason) {
		return reason
	}
	return nil
}

package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
)

// A rig is a gRPC server behind one peer. The handler does nothing, so the interceptors
// dominate the time.
type rig struct {
	*peer
	server *grpc.Server
	dial   func() (*grpc.ClientConn, error)
	client testgrpc.TestServiceClient
	conns  []*grpc.ClientConn
}

// transport is the connection between client and server.
type transport string

const (
	inMemory transport = "bufconn"
	overTCP  transport = "loopback TCP"
)

func newRig(p *peer, over transport) (*rig, error) {
	r := &rig{peer: p, server: grpc.NewServer(grpc.ChainUnaryInterceptor(p.unary), grpc.ChainStreamInterceptor(p.stream))}
	testgrpc.RegisterTestServiceServer(r.server, service{})
	var listener net.Listener
	target, options := "", []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if over == inMemory {
		buffer := bufconn.Listen(1 << 20)
		listener, target = buffer, "passthrough:///bufconn"
		options = append(options, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return buffer.DialContext(ctx)
		}))
	} else {
		var err error
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
		target = listener.Addr().String()
	}
	go func() { _ = r.server.Serve(listener) }() // ends with close
	r.dial = func() (*grpc.ClientConn, error) {
		conn, err := grpc.NewClient(target, options...)
		if err == nil {
			r.conns = append(r.conns, conn)
		}
		return conn, err
	}
	conn, err := r.dial()
	if err != nil {
		r.close()
		return nil, err
	}
	r.client = testgrpc.NewTestServiceClient(conn)
	return r, nil
}

func (r *rig) close() {
	for _, conn := range r.conns {
		_ = conn.Close()
	}
	r.server.Stop()
}

// newRig returns a rig for a new peer, warmed by a good call.
func (s *Suite) newRig(name, alg string, over transport) (*rig, error) {
	p, err := s.newPeer(name, alg)
	if err != nil {
		return nil, err
	}
	r, err := newRig(p, over)
	if err != nil {
		return nil, err
	}
	if _, err := r.client.EmptyCall(outgoing(s.Token(alg, Small)), &testgrpc.Empty{}); err != nil {
		r.close()
		return nil, fmt.Errorf("suite: %s refused a good token: %w", name, err)
	}
	return r, nil
}

// outgoing returns the context of a client that sends token, or none if it is empty.
func outgoing(token string) context.Context {
	if token == "" {
		return context.Background()
	}
	return metadata.NewOutgoingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+token))
}

// outgoingUnread returns the context of a client that sends the bytes of token under a
// key that no code reads.
func outgoingUnread(token string) context.Context {
	return metadata.NewOutgoingContext(context.Background(), metadata.Pairs("x-unread", "Bearer "+token))
}

type service struct {
	testgrpc.UnimplementedTestServiceServer
}

func (service) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, nil
}

// FullDuplexCall answers every message.
func (service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	for {
		if _, err := stream.Recv(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

// openStream opens a stream, exchanges one message and waits for its end.
func openStream(ctx context.Context, client testgrpc.TestServiceClient) error {
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("suite: the stream did not end: %w", err)
	}
	return nil
}

// incoming returns the context of a server's interceptor for a call with token, or
// without one if it is empty.
func incoming(token string) context.Context {
	md := metadata.Pairs(":authority", "localhost:50051", "content-type", "application/grpc", "user-agent", "grpc-go/"+grpc.Version)
	if token != "" {
		md.Set("authorization", "Bearer "+token)
	}
	ctx := grpc.NewContextWithServerTransportStream(context.Background(), serverStream{})
	return metadata.NewIncomingContext(ctx, md)
}

// serverStream replaces the stream of a call.
type serverStream struct{}

func (serverStream) Method() string               { return testgrpc.TestService_EmptyCall_FullMethodName }
func (serverStream) SetHeader(metadata.MD) error  { return nil }
func (serverStream) SendHeader(metadata.MD) error { return nil }
func (serverStream) SetTrailer(metadata.MD) error { return nil }

var emptyCall = &grpc.UnaryServerInfo{FullMethod: testgrpc.TestService_EmptyCall_FullMethodName}

// intercept calls the interceptor alone, once.
func (p *peer) intercept(ctx context.Context) error {
	_, err := p.unary(ctx, nil, emptyCall, func(context.Context, any) (any, error) { return nil, nil })
	return err
}

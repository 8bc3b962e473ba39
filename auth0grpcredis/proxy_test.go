package auth0grpcredis

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A proxy stands between a client and a server. It delays the data, counts the
// connections, and can fall silent on open ones (half-open: neither side notices).
type proxy struct {
	address   string
	target    string
	roundTrip time.Duration

	bytesPerSecond int // 0: no limit; of each direction of a connection

	mu       sync.Mutex
	silence  chan struct{} // closed for the connections that fell silent
	accepted int
	open     map[net.Conn]struct{}
}

// startProxy starts a proxy that ends with the test.
func startProxy(tb testing.TB, target string, roundTrip time.Duration) *proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &proxy{
		address: listener.Addr().String(), target: target, roundTrip: roundTrip,
		silence: make(chan struct{}), open: map[net.Conn]struct{}{},
	}
	tb.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		for conn := range p.open {
			conn.Close()
		}
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		client.Close()
		return
	}
	p.mu.Lock()
	silence := p.silence
	p.accepted++
	p.open[client], p.open[server] = struct{}{}, struct{}{}
	p.mu.Unlock()
	go p.pass(client, server, silence)
	p.pass(server, client, silence)
}

// pass copies one direction, half a round trip late.
func (p *proxy) pass(from, to net.Conn, silence <-chan struct{}) {
	type chunk struct {
		due   time.Time
		bytes []byte
	}
	chunks := make(chan chunk, 1<<16)
	go func() {
		defer close(chunks)
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				chunks <- chunk{time.Now().Add(p.roundTrip / 2), append([]byte(nil), buffer[:n]...)}
			}
			if err != nil {
				return
			}
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var free time.Time // when the line has sent the earlier data
	for c := range chunks {
		if p.bytesPerSecond > 0 {
			rate := time.Duration(len(c.bytes)) * time.Second / time.Duration(p.bytesPerSecond)
			c.due = later(c.due, free).Add(rate)
			free = c.due
		}
		timer.Reset(time.Until(c.due))
		<-timer.C
		select {
		case <-silence:
			continue // and keep the connection
		default:
		}
		if _, err := to.Write(c.bytes); err != nil {
			break
		}
	}
	select {
	case <-silence:
		return
	default:
	}
	from.Close()
	to.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, from)
	delete(p.open, to)
}

// silenceOpen makes the open connections half-open. New ones work.
func (p *proxy) silenceOpen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.silence)
	p.silence = make(chan struct{})
}

func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// client returns a client whose connections pass the proxy. A dial takes one
// round trip, as the proxy cannot delay the handshake of TCP.
func (p *proxy) client(tb testing.TB, changes ...func(*redis.Options)) *redis.Client {
	tb.Helper()
	server := redisServer{address: p.address}
	return server.client(tb, append([]func(*redis.Options){func(options *redis.Options) {
		options.Dialer = p.dial
	}}, changes...)...)
}

func (p *proxy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(p.roundTrip):
		return conn, nil
	case <-ctx.Done():
		conn.Close()
		return nil, ctx.Err()
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

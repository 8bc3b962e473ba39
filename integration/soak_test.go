package integration

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
)

// soakFor is how long the soak lasts on the library's clock.
const soakFor = time.Hour

// A sample holds the resources of the process at one moment.
type sample struct {
	heap       uint64 // bytes that are in use after a collection
	goroutines int
}

func takeSample() sample {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sample{m.HeapAlloc, runtime.NumGoroutine()}
}

// An hour of mixed traffic: good tokens that are renewed all the time, bad ones,
// made-up key ids, streams that are opened and left, keys that are rotated. Heap
// and goroutines do not grow in the second half.
func TestSoak(t *testing.T) {
	a := newAuthority(t)
	p := startProvider(t, a)
	clock := newFastClock()
	s := serve(t, a, []string{p.issuer}, func(c *auth0grpc.Config) {
		clock.use(c)
		c.CacheSize = 200 // small enough to be full for most of the hour
	})
	conn := s.dial(t)
	l := startLoad(t, clock, ordersv1.NewOrdersClient(conn), p.shortTokens(t, clock.now(), 20))
	var samples []sample
	refused, streams := 0, 0
	for began, minute := clock.now(), 0; clock.now().Sub(began) < soakFor; minute++ {
		l.use(p.shortTokens(t, clock.now(), 20))
		refused += s.abuse(t, conn, p, clock.now())
		streams += s.leaveStreams(t, conn, p.shortTokens(t, clock.now(), 1)[0])
		if minute%10 == 9 {
			p.rotate(t)
			p.keys.previous = p.keys.previous[:1] // Auth0 publishes three at most
			p.swap(t)
		}
		clock.pass(t, 30*time.Second)
		samples = append(samples, takeSample())
	}
	l.check(t)
	first, second := typical(samples[len(samples)/4:len(samples)/2]), typical(samples[3*len(samples)/4:])
	if second.heap > first.heap*5/4+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes", first.heap, second.heap)
	}
	if second.goroutines > first.goroutines+20 {
		t.Errorf("the goroutines grew from %d to %d", first.goroutines, second.goroutines)
	}
	summarize(t, "%v of the library's clock: %v, %d bad ones refused, %d streams; heap %.1f to %.1f MiB, goroutines %d to %d", soakFor,
		l, refused, streams, mebi(first.heap), mebi(second.heap), first.goroutines, second.goroutines)
}

// typical is the median of each.
func typical(samples []sample) sample {
	var heaps []uint64
	var goroutines []int
	for _, s := range samples {
		heaps, goroutines = append(heaps, s.heap), append(goroutines, s.goroutines)
	}
	slices.Sort(heaps)
	slices.Sort(goroutines)
	return sample{heaps[len(heaps)/2], goroutines[len(goroutines)/2]}
}

func mebi(bytes uint64) float64 { return float64(bytes) / (1 << 20) }

// shortTokens are good for five minutes from now. The provider's key signs them
// here, because the provider's clock is the real one.
func (p *provider) shortTokens(t *testing.T, now time.Time, n int) []string {
	t.Helper()
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = p.sign(t, p.keys.current, map[string]any{
			"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": fmt.Sprint(now.UnixNano(), i),
		})
	}
	return tokens
}

// abuse presents bad tokens, expects a refusal for each, and returns their number.
func (s *server) abuse(t *testing.T, conn *grpc.ClientConn, p *provider, now time.Time) int {
	t.Helper()
	stranger := p.keys.current
	stranger.KeyID = fmt.Sprint("made up ", now.UnixNano())
	bad := []string{
		"x", unsigned(p.issuer), unsigned("https://attacker.example.com/"),
		p.sign(t, p.keys.current, map[string]any{"exp": now.Add(-time.Minute).Unix()}),
		p.sign(t, stranger, map[string]any{"iat": now.Unix()}),
	}
	for range 5 {
		for _, token := range bad {
			if err := getOrder(conn, token); status.Code(err) != codes.Unauthenticated {
				t.Errorf("a bad token: %v, want Unauthenticated", err)
			}
		}
	}
	return 5 * len(bad)
}

// leaveStreams opens streams, talks a little, and leaves them in several ways.
func (s *server) leaveStreams(t *testing.T, conn *grpc.ClientConn, token string) int {
	t.Helper()
	const each = 5
	for i := range 2 * each {
		ctx, cancel := withToken(token)
		stream, err := ordersv1.NewOrdersClient(conn).Exchange(ctx)
		if err == nil {
			err = talk(stream, i < each)
		}
		if err != nil {
			t.Errorf("a stream: %v", err)
		}
		cancel() // those that were not closed are left open
	}
	return 2 * each
}

// talk sends a message, reads the answer, and closes the stream if told to.
func talk(stream grpc.BidiStreamingClient[ordersv1.Order, ordersv1.Order], closes bool) error {
	if err := stream.Send(&ordersv1.Order{Id: "1"}); err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil || !closes {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); err != io.EOF {
		return fmt.Errorf("the end of the stream: %w", err)
	}
	return nil
}

package suite

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// newGuard returns auth0grpc for ES256 tokens, whose signatures are made fast.
func (s *Suite) newGuard(methods map[string]auth0grpc.Rule) (*auth0grpc.Interceptor, error) {
	return auth0grpc.New(auth0grpc.Config{
		Issuers: []string{s.tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience},
		Algorithms: []string{"ES256"}, HTTPClient: s.tenant.HTTPClient(), Methods: methods,
	})
}

// signES256 returns an ES256 token with the changed claims. A nil value removes a claim.
func (s *Suite) signES256(changes map[string]any) string {
	c := claims(s.tenant.Issuer(), 0, "")
	for name, value := range changes {
		c[name] = value
	}
	return s.tenant.Sign(map[string]any{"alg": "ES256"}, c)
}

// A crowd is a server with many open streams.
type crowd struct {
	suite   *Suite
	guard   *auth0grpc.Interceptor
	streams []*auth0grpc.OpenStream
}

const crowdMethod = "/orders.v1.Orders/Watch"

func (s *Suite) newCrowd() (*crowd, error) {
	guard, err := s.newGuard(map[string]auth0grpc.Rule{crowdMethod: auth0grpc.Scopes(Scope)})
	return &crowd{suite: s, guard: guard}, err
}

// open opens count streams with a token.
func (c *crowd) open(token string, count int) error {
	request := auth0grpc.Request{FullMethod: crowdMethod, Authorization: []string{"Bearer " + token}}
	for range count {
		stream, err := c.guard.CheckStream(context.Background(), request)
		if err != nil {
			return err
		}
		c.streams = append(c.streams, stream)
	}
	return nil
}

func (c *crowd) close() {
	for _, stream := range c.streams {
		stream.Close()
	}
}

// opener returns a function that opens and closes a stream and returns the time of the
// opening.
func (c *crowd) opener() func() (time.Duration, error) {
	request := auth0grpc.Request{FullMethod: crowdMethod, Authorization: []string{"Bearer " + c.suite.signES256(map[string]any{"sub": "opener"})}}
	return func() (time.Duration, error) {
		before := time.Now()
		stream, err := c.guard.CheckStream(context.Background(), request)
		took := time.Since(before)
		if err == nil {
			stream.Close()
		}
		return took, err
	}
}

// revocations is the number of revocations of one measurement.
const revocations = 1000

// A RevokeResult holds times of a server with many open streams.
type RevokeResult struct {
	Streams      int
	Revoke       time.Duration // of a Revoke that ends one stream, mean
	Quiet, Burst time.Duration // of an opening, median: alone, and during 1,000 revocations
}

// BurstRatio returns the opening during revocations beside a quiet one.
func (r RevokeResult) BurstRatio() float64 { return float64(r.Burst) / float64(r.Quiet) }

// Revoke measures revocations with a number of open streams: at least 1,000.
func (s *Suite) Revoke(streams int) (RevokeResult, error) {
	result := RevokeResult{Streams: streams}
	c, err := s.newCrowd()
	if err != nil {
		return result, err
	}
	defer c.close()
	if err := c.open(s.signES256(nil), streams-revocations); err != nil {
		return result, err
	}
	for i := range revocations {
		if err := c.open(s.signES256(map[string]any{"sub": "user" + strconv.Itoa(i)}), 1); err != nil {
			return result, err
		}
	}
	open := c.opener()
	var quiet, burst []time.Duration
	for range 20 * revocations {
		took, err := open()
		if err != nil {
			return result, err
		}
		quiet = append(quiet, took)
	}
	// In whole seconds, so that tokens of later seconds pass.
	before := time.Now().Add(2 * time.Second)
	began := time.Now()
	for i := range revocations {
		if err := c.revoke("user"+strconv.Itoa(i), before); err != nil {
			return result, err
		}
	}
	result.Revoke = time.Since(began) / revocations
	for round := range 10 {
		took, err := c.openDuringBurst(open, round, before)
		if err != nil {
			return result, err
		}
		burst = append(burst, took...)
	}
	result.Quiet, result.Burst = medianTime(quiet), medianTime(burst)
	return result, nil
}

// openDuringBurst opens streams until a burst of revocations has ended, and returns how
// long each took.
func (c *crowd) openDuringBurst(open func() (time.Duration, error), round int, before time.Time) (times []time.Duration, err error) {
	done := make(chan error, 1)
	go func() {
		var failure error
		for i := range revocations {
			if err := c.revoke(fmt.Sprintf("stranger%d-%d", round, i), before); err != nil {
				failure = err
			}
		}
		done <- failure
	}()
	for {
		took, err := open()
		if err != nil {
			return nil, err
		}
		times = append(times, took)
		select {
		case err := <-done:
			return times, err
		default:
		}
	}
}

func (c *crowd) revoke(subject string, before time.Time) error {
	return c.guard.Revoke(context.Background(), auth0grpc.Revocation{
		Issuer: c.suite.tenant.Issuer(), Subject: subject, IssuedBefore: before,
	})
}

func medianTime(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// An ExpiryResult tells how streams ended that expired at the same instant.
type ExpiryResult struct {
	Streams int
	All     time.Duration // from the expiry until the last stream had ended
	Slowest time.Duration // of the openings meanwhile
}

// ExpireTogether opens streams whose tokens expire at the same instant, and opens
// others while they end.
func (s *Suite) ExpireTogether(streams int) (ExpiryResult, error) {
	result := ExpiryResult{Streams: streams}
	c, err := s.newCrowd()
	if err != nil {
		return result, err
	}
	defer c.close()
	open := c.opener()
	if _, err := open(); err != nil { // brings the keys
		return result, err
	}
	// Time enough to open them: a second for 100,000.
	end := time.Now().Truncate(time.Second).Add(time.Duration(3+streams/50_000) * time.Second)
	if err := c.open(s.signES256(map[string]any{"exp": end.Unix()}), streams); err != nil {
		return result, err
	}
	runtime.GC() // now, and not while they end
	time.Sleep(time.Until(end) - 20*time.Millisecond)
	var meanwhile sync.WaitGroup
	stop := make(chan struct{})
	var failure error
	meanwhile.Go(func() {
		for failure == nil {
			select {
			case <-stop:
				return
			default:
			}
			var took time.Duration
			took, failure = open()
			result.Slowest = max(result.Slowest, took)
		}
	})
	for _, stream := range c.streams {
		<-stream.Context().Done()
	}
	result.All = time.Since(end)
	close(stop)
	meanwhile.Wait()
	return result, failure
}

// A ListResult describes the list of revocations in memory.
type ListResult struct {
	Entries int
	Bytes   float64       // of heap for each
	Slowest time.Duration // of all calls of Revoke
	Call    time.Duration // of a known token after a revocation, mean
}

// RevocationList revokes as many subjects as given.
func (s *Suite) RevocationList(entries int) (ListResult, error) {
	result := ListResult{Entries: entries}
	c, err := s.newCrowd()
	if err != nil {
		return result, err
	}
	token := s.signES256(nil)
	request := auth0grpc.Request{FullMethod: crowdMethod, Authorization: []string{"Bearer " + token}}
	if _, err := c.guard.Check(context.Background(), request); err != nil {
		return result, err
	}
	subjects := make([]string, entries)
	for i := range subjects {
		subjects[i] = "auth0|" + strconv.Itoa(i)
	}
	before := time.Now()
	heap := liveHeap()
	for _, subject := range subjects {
		began := time.Now()
		if err := c.revoke(subject, before); err != nil {
			return result, err
		}
		result.Slowest = max(result.Slowest, time.Since(began))
	}
	result.Bytes = float64(liveHeap()-heap) / float64(entries)
	const calls = 20_000
	var took time.Duration
	for i := range calls {
		if err := c.revoke(subjects[i%entries], before.Add(time.Duration(i))); err != nil {
			return result, err
		}
		began := time.Now()
		if _, err := c.guard.Check(context.Background(), request); err != nil {
			return result, err
		}
		took += time.Since(began)
	}
	result.Call = took / calls
	runtime.KeepAlive(subjects)
	return result, nil
}

// A NamesResult is the time of a call with a known token of 400 permissions.
type NamesResult struct {
	Names int           // of the rule
	Call  time.Duration // the best of many
}

// RuleNames measures calls at rules of growing size, side by side.
func (s *Suite) RuleNames(sizes []int) ([]NamesResult, error) {
	const permissions = 400
	numbered := func(prefix string, count int) []string {
		names := make([]string, count)
		for i := range names {
			names[i] = prefix + strconv.Itoa(i)
		}
		return names
	}
	methods := map[string]auth0grpc.Rule{}
	results := make([]NamesResult, len(sizes))
	requests := make([]auth0grpc.Request, len(sizes))
	token := s.signES256(map[string]any{"permissions": numbered("p", permissions)})
	for i, size := range sizes {
		method := "/orders.v1.Orders/Rule" + strconv.Itoa(size)
		last := "p" + strconv.Itoa(permissions-1)
		methods[method] = auth0grpc.AnyPermission(append(numbered("other", size-1), last)...)
		requests[i] = auth0grpc.Request{FullMethod: method, Authorization: []string{"Bearer " + token}}
		results[i] = NamesResult{Names: size, Call: time.Hour}
	}
	guard, err := s.newGuard(methods)
	if err != nil {
		return nil, err
	}
	for range 5000 {
		for i := range requests {
			began := time.Now()
			if _, err := guard.Check(context.Background(), requests[i]); err != nil {
				return nil, err
			}
			results[i].Call = min(results[i].Call, time.Since(began))
		}
	}
	return results, nil
}

// A TableResult is the time to set a table.
type TableResult struct {
	Rows int
	Set  time.Duration
}

// SetMethods measures SetMethods with a table of rows.
func (s *Suite) SetMethods(rows int) (TableResult, error) {
	table := make(map[string]auth0grpc.Rule, rows)
	for i := range rows {
		table[fmt.Sprintf("/orders.v1.Orders%d/Method%d", i/20, i%20)] = auth0grpc.Scopes(Scope, "scope"+strconv.Itoa(i%50))
	}
	guard, err := s.newGuard(map[string]auth0grpc.Rule{crowdMethod: auth0grpc.Scopes(Scope)})
	if err != nil {
		return TableResult{}, err
	}
	began := time.Now()
	err = guard.SetMethods(table)
	return TableResult{rows, time.Since(began)}, err
}

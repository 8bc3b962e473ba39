package auth0grpc

import "time"

// SetTimer replaces time.AfterFunc for the timers that end streams.
func (i *Interceptor) SetTimer(timer func(time.Duration, func()) interface{ Stop() bool }) {
	i.streams.timer = func(d time.Duration, f func()) stopper { return timer(d, f) }
}

// RevocationsRemembered returns how many revocations are held.
func (i *Interceptor) RevocationsRemembered() int { return i.verifier.revocations.Len() }

// HoldLocks holds the lock that calls may have to wait for, until release.
func (i *Interceptor) HoldLocks() (release func()) {
	i.streams.mu.Lock()
	return i.streams.mu.Unlock
}

// FillSignatureGate makes the signature gate reject further calls, until release.
func (i *Interceptor) FillSignatureGate() (release func()) {
	g := i.verifier.signatures
	g.mu.Lock()
	defer g.mu.Unlock()
	inProgress, maxWaiting := g.inProgress, g.maxWaiting
	g.inProgress, g.maxWaiting = g.loose, 0
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.inProgress, g.maxWaiting = inProgress, maxWaiting
	}
}

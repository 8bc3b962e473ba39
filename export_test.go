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

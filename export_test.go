package auth0grpc

import "time"

// SetTimer replaces the timer that ends streams.
func (i *Interceptor) SetTimer(timer func(time.Duration) (<-chan time.Time, func() bool)) {
	i.streams.timer = timer
}

// RevocationsRemembered returns how many revocations are held.
func (i *Interceptor) RevocationsRemembered() int { return i.verifier.revoked.Size() }

// HoldLocks holds every lock that calls may have to wait for, until release.
func (i *Interceptor) HoldLocks() (release func()) {
	i.verifier.cache.learn.Lock()
	i.streams.mu.Lock()
	return func() {
		i.streams.mu.Unlock()
		i.verifier.cache.learn.Unlock()
	}
}

package auth0grpc

import "time"

// SetTimer replaces the timer that ends streams.
func (i *Interceptor) SetTimer(timer func(time.Duration) (<-chan time.Time, func() bool)) {
	i.streams.timer = timer
}

// RevocationsRemembered returns how many revocations are held.
func (i *Interceptor) RevocationsRemembered() int { return i.verifier.revoked.Size() }

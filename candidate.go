package auth0grpc

import (
	"errors"

	"github.com/auth0grpc/auth0grpc/internal/configerror"
)

// SetCandidate evaluates a second table on each call, beside the table in force. The
// candidate never decides. [Decision.Candidate] reports the calls whose outcome it
// would change. A nil table removes the candidate. SetCandidate returns the faults that
// [Interceptor.SetMethods] would return, and the previous candidate then stays. It is an
// error without [Config.OnDecision], because nothing would report the differences.
//
// A call that the table in force allows without looking at its token costs as much as
// under the candidate: the token is verified for the report. The candidate sees no
// message, so it does not evaluate rules about messages.
func (i *Interceptor) SetCandidate(methods map[string]Rule) error {
	if i.verifier == nil {
		return errZeroInterceptor
	}
	if methods == nil {
		i.candidate.Store(nil)
		return nil
	}
	if i.observer.onDecision == nil {
		return errors.New("auth0grpc: SetCandidate: Config.OnDecision is not set, so nothing would report the differences")
	}
	candidate, faults := newTable(methods)
	faults = append(faults, candidate.bindingFaults(i.binder.modes())...)
	faults = append(faults, candidate.relationFaults(i.verifier.ask != nil)...)
	if len(faults) > 0 {
		return configerror.Join(faults)
	}
	i.candidate.Store(candidate)
	return nil
}

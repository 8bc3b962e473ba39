package auth0grpc

import (
	"io"
	"sync/atomic"
)

// A messageGuard checks the messages of a stream whose row has rules about them.
type messageGuard struct {
	check    func(message any, last *lastObjects) *refusal
	unnamed  *refusal // of a stream that names no record
	end      func(*refusal) bool
	last     lastObjects
	admitted atomic.Bool // a message has passed, or report-only has let one pass
	lenient  atomic.Bool // report-only has let a message pass
}

// received checks a message that the handler is about to receive, or the error in its
// place. It returns the refusal that the handler receives instead. A client that ends the
// stream before its first message has named no record.
func (m *messageGuard) received(message any, err error) *refusal {
	var refused *refusal
	switch {
	case m.lenient.Load():
		return nil
	case err == nil:
		refused = m.check(message, &m.last)
	case err == io.EOF && !m.admitted.Load():
		refused = m.unnamed
	default:
		return nil
	}
	if refused != nil {
		return m.refuse(refused)
	}
	m.last.first = false
	m.admitted.Store(true)
	return nil
}

// sends checks a message that the handler sends. Before a message has named a record
// there is none whose data the client may have.
func (m *messageGuard) sends() *refusal {
	if m.admitted.Load() {
		return nil
	}
	return m.refuse(m.unnamed)
}

// refuse returns the refusal, or nil if report-only lets the message pass. It reports only
// once for a stream.
func (m *messageGuard) refuse(refused *refusal) *refusal {
	refused = refused.underHandler()
	if m.end(refused) {
		return refused
	}
	m.lenient.Store(true)
	m.admitted.Store(true)
	return nil
}

// newMessageGuard returns the guard of a stream. check evaluates the rules for a message.
// end ends the stream, or reports the refusal and returns false.
func newMessageGuard(unnamed *refusal, check func(any, *lastObjects) *refusal, end func(*refusal) bool) *messageGuard {
	return &messageGuard{check: check, unnamed: unnamed, end: end, last: lastObjects{first: true}}
}

package auth0grpc

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// fromHandler returns the error of a handler for the client. If its status has an
// ErrorInfo that is marked with BeforeHandlerKey, the result sends the same status
// without the mark, and wraps err. Any other error is returned as it is.
func fromHandler(err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return err // a status of gRPC itself, without details
	}
	unmarked := withoutMark(s)
	if unmarked == nil {
		return err
	}
	return &unmarkedError{err: err, status: unmarked}
}

// An unmarkedError is the error of a handler whose status lost its mark.
type unmarkedError struct {
	err    error
	status *status.Status
}

func (e *unmarkedError) Error() string              { return e.err.Error() }
func (e *unmarkedError) Unwrap() error              { return e.err }
func (e *unmarkedError) GRPCStatus() *status.Status { return e.status }

// withoutMark returns a copy of s in which no ErrorInfo is marked, or nil if none
// is marked in s. All other parts stay as they are.
func withoutMark(s *status.Status) *status.Status {
	p := s.Proto() // a copy
	kept := p.GetDetails()[:0]
	found := false
	for _, detail := range p.GetDetails() {
		unmarked, marked := unmark(detail)
		found = found || marked
		if unmarked != nil {
			kept = append(kept, unmarked)
		}
	}
	if !found {
		return nil
	}
	return status.FromProto(&spb.Status{Code: p.GetCode(), Message: p.GetMessage(), Details: kept})
}

// unmark returns a detail without the mark, and reports whether it had one. It
// returns nil for an ErrorInfo that it cannot decode, since a client might.
func unmark(detail *anypb.Any) (unmarked *anypb.Any, marked bool) {
	info := new(errdetails.ErrorInfo)
	if !detail.MessageIs(info) {
		return detail, false
	}
	if detail.UnmarshalTo(info) != nil {
		return nil, true
	}
	if !isMarked(info) {
		return detail, false
	}
	delete(info.Metadata, BeforeHandlerKey)
	text, err := anypb.New(info)
	if err != nil {
		return nil, true
	}
	return text, true
}

package auth0grpcconnect

import (
	"errors"
	"strconv"

	"connectrpc.com/connect/v2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/retryafter"
)

// refusalError returns a refusal as an error of Connect, and sets its headers.
func refusalError(info *connect.CallInfo, err error) error {
	var refusal *auth0grpc.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	header := info.ResponseHeader()
	for _, challenge := range refusal.Challenges() {
		header.Add("WWW-Authenticate", challenge)
	}
	if nonce := refusal.DPoPNonce(); nonce != "" {
		header.Set("DPoP-Nonce", nonce)
	}
	if delay := refusal.RetryAfter(); delay > 0 {
		header.Set("Retry-After", retryafter.Seconds(delay))
		info.ResponseTrailer().Set("Grpc-Retry-Pushback-Ms", strconv.FormatInt(delay.Milliseconds(), 10))
	}
	status := refusal.GRPCStatus().Proto()
	refused := connect.NewError(connect.Code(status.GetCode()), status.GetMessage()).WithCause(refusal)
	for _, detail := range status.GetDetails() {
		refused = refused.WithDetail(&connect.ErrorDetail{Type: string(detail.MessageName()), Value: detail.GetValue()})
	}
	return refused
}

// fromHandler returns the error of a handler for the client. A detail of auth0grpc that
// states that no handler ran, such as a relayed one of another server, loses that
// statement.
func fromHandler(err error) error {
	var e *connect.Error
	if !errors.As(err, &e) {
		return err
	}
	marked := false
	result := connect.NewError(e.Code(), e.Message()).WithCause(err)
	for _, detail := range e.Details() {
		unmarked, found := unmark(detail)
		marked = marked || found
		result = result.WithDetail(unmarked)
	}
	if !marked {
		return err
	}
	if e.IsRemote() {
		result = result.WithRemote()
	}
	return result
}

// unmark returns a detail without the statement, and reports whether it had it. It
// returns nil for an ErrorInfo that it cannot decode, since a client might.
func unmark(detail *connect.ErrorDetail) (unmarked *connect.ErrorDetail, marked bool) {
	info := new(errdetails.ErrorInfo)
	if detail.Type != string(info.ProtoReflect().Descriptor().FullName()) {
		return detail, false
	}
	if proto.Unmarshal(detail.Value, info) != nil {
		return nil, true
	}
	if _, ok := info.GetMetadata()[auth0grpc.BeforeHandlerKey]; !ok || info.GetDomain() != auth0grpc.ErrorDomain {
		return detail, false
	}
	delete(info.Metadata, auth0grpc.BeforeHandlerKey)
	value, err := proto.Marshal(info)
	if err != nil {
		return nil, true
	}
	return &connect.ErrorDetail{Type: detail.Type, Value: value}, true
}

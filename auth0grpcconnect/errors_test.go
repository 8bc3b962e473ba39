package auth0grpcconnect

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"connectrpc.com/connect/v2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	"github.com/auth0grpc/auth0grpc"
)

// detailOf returns an ErrorInfo as a detail.
func detailOf(t *testing.T, domain string, metadata map[string]string) *connect.ErrorDetail {
	t.Helper()
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(&errdetails.ErrorInfo{Reason: "TOKEN_EXPIRED", Domain: domain, Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
	return &connect.ErrorDetail{Type: "google.rpc.ErrorInfo", Value: value}
}

// The statement that no handler ran is removed from the errors of handlers. All other
// errors reach the client as they are.
func TestFromHandler(t *testing.T) {
	const key = auth0grpc.BeforeHandlerKey
	marked := map[string]string{key: "true", "other": "1"}
	foreign := &connect.ErrorDetail{Type: "a.Message", Value: []byte{0xff}}
	for name, test := range map[string]struct{ detail, want *connect.ErrorDetail }{ // without want: unchanged
		"marked":         {detailOf(t, auth0grpc.ErrorDomain, marked), detailOf(t, auth0grpc.ErrorDomain, map[string]string{"other": "1"})},
		"mark of false":  {detailOf(t, auth0grpc.ErrorDomain, map[string]string{key: ""}), detailOf(t, auth0grpc.ErrorDomain, nil)},
		"not marked":     {detailOf(t, auth0grpc.ErrorDomain, map[string]string{"other": "1"}), nil},
		"another domain": {detailOf(t, "other.example", marked), nil},
		"another type":   {foreign, nil},
		"not decodable":  {&connect.ErrorDetail{Type: "google.rpc.ErrorInfo", Value: []byte{0xff}}, foreign},
	} {
		for _, remote := range []bool{false, true} {
			err := connect.NewError(connect.CodeUnauthenticated, "of another server").WithDetail(foreign).WithDetail(test.detail).WithDetail(foreign)
			if remote {
				err = err.WithRemote()
			}
			want := []*connect.ErrorDetail{foreign, test.want, foreign}
			if test.want == foreign {
				want = want[:2]
			}
			got := fromHandler(err)
			if test.want == nil {
				if got != error(err) {
					t.Errorf("%s: changed to %v", name, got)
				}
				continue
			}
			var e *connect.Error
			if !errors.As(got, &e) || e.Code() != err.Code() || e.Message() != err.Message() || e.IsRemote() != remote || !errors.Is(got, err) {
				t.Errorf("%s: %v, remote: %t", name, got, e.IsRemote())
			}
			if !slices.EqualFunc(e.Details(), want, func(a, b *connect.ErrorDetail) bool { return a.Type == b.Type && bytes.Equal(a.Value, b.Value) }) {
				t.Errorf("%s: details %v, want %v", name, e.Details(), want)
			}
		}
	}
	for _, err := range []error{nil, io.EOF} {
		if got := fromHandler(err); got != err {
			t.Errorf("%v is changed to %v", err, got)
		}
	}
	if got := refusalError(new(connect.CallInfo), io.EOF); got != io.EOF {
		t.Errorf("refusalError changes %v to %v", io.EOF, got)
	}
}

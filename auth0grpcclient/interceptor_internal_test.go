package auth0grpcclient

import (
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
)

// TestSeveralErrorInfos covers statuses with several details: the first mark decides, and
// without one the first reason.
func TestSeveralErrorInfos(t *testing.T) {
	t.Parallel()
	info := func(reason, domain, mark string) protoadapt.MessageV1 {
		return &errdetails.ErrorInfo{Reason: reason, Domain: domain, Metadata: map[string]string{beforeHandlerKey: mark}}
	}
	other := &errdetails.RetryInfo{}
	for name, test := range map[string]struct {
		details          []protoadapt.MessageV1
		want, wantMarked string
	}{
		"none":                        {nil, "", ""},
		"one without a mark":          {[]protoadapt.MessageV1{info("A", errorDomain, "")}, "A", ""},
		"two without a mark":          {[]protoadapt.MessageV1{info("A", errorDomain, ""), info("B", errorDomain, "")}, "A", ""},
		"the second has a mark":       {[]protoadapt.MessageV1{info("A", errorDomain, ""), info("B", errorDomain, "true")}, "B", "B"},
		"the first has a mark":        {[]protoadapt.MessageV1{info("A", errorDomain, "true"), info("B", errorDomain, "")}, "A", "A"},
		"both have a mark":            {[]protoadapt.MessageV1{info("A", errorDomain, "true"), info("B", errorDomain, "true")}, "A", "A"},
		"another domain has a mark":   {[]protoadapt.MessageV1{info("A", "other", "true"), info("B", errorDomain, "")}, "B", ""},
		"another detail before it":    {[]protoadapt.MessageV1{other, info("A", errorDomain, "true")}, "A", "A"},
		"another detail and no other": {[]protoadapt.MessageV1{other}, "", ""},
	} {
		s, err := status.New(codes.Unauthenticated, "refused").WithDetails(test.details...)
		if err != nil {
			t.Fatal(err)
		}
		if got := unauthenticatedInfo(s.Err()).GetReason(); got != test.want {
			t.Errorf("%s: the reason is %q, want %q", name, got, test.want)
		}
		if got := reason(s.Err()); got != test.wantMarked {
			t.Errorf("%s: the reason with a mark is %q, want %q", name, got, test.wantMarked)
		}
	}
}

// TestNonceOfAnotherToken shows that the nonce of a call is not stored if the call carried
// no token of these credentials.
func TestNonceOfAnotherToken(t *testing.T) {
	t.Parallel()
	p := &prover{nonces: make(map[string]string)}
	call := &call{credentials: &Credentials{prover: p}}
	nonce := metadata.Pairs("dpop-nonce", "n1")
	call.rememberNonce(nonce, nonce)
	if len(p.nonces) != 0 {
		t.Errorf("stored %v, want none", p.nonces)
	}
}

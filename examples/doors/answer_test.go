package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// An answer is the response of any door.
type answer struct {
	status     *status.Status // code OK: admitted
	challenges []string
	nonce      string
}

// notFound is the answer of net/http, and of grpc-gateway.
var notFound = status.New(codes.Unknown, "404 page not found")

// read returns the answer in a response. Its form depends on the request's content type.
func read(t *testing.T, contentType string, response *http.Response) answer {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{challenges: response.Header.Values("WWW-Authenticate"), nonce: response.Header.Get("DPoP-Nonce")}
	switch {
	case strings.HasPrefix(contentType, "application/grpc-web"):
		ends := response.Header
		if last := lastFrame(body, 0x80); last != nil {
			trailer, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(last, "\r\n"...)))).ReadMIMEHeader()
			if err != nil {
				t.Fatalf("trailer %q: %v", last, err)
			}
			ends = http.Header(trailer)
		}
		a.status = gRPCStatus(t, response, ends)
	case strings.HasPrefix(contentType, "application/grpc"):
		ends := response.Trailer
		if response.Header.Get("Grpc-Status") != "" {
			ends = response.Header
		}
		a.status = gRPCStatus(t, response, ends)
	case strings.HasPrefix(contentType, "application/connect+"):
		var end struct{ Error json.RawMessage }
		if err := json.Unmarshal(lastFrame(body, 2), &end); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%d, last message in %q: %v", response.StatusCode, body, err)
		}
		a.status = connectStatus(t, end.Error)
	case response.StatusCode == http.StatusOK:
		a.status = status.New(codes.OK, "")
	case response.StatusCode == http.StatusNotFound && (string(body) == "404 page not found\n" || bytes.Contains(body, []byte(`"message":"Not Found"`))):
		a.status = notFound
	case bytes.Contains(body, []byte(`"@type"`)): // a status in JSON: of gRPC, through grpc-gateway
		text := bytes.TrimSpace(body)
		if inner, ok := bytes.CutPrefix(text, []byte(`{"error":`)); ok { // of a stream
			text = bytes.TrimSuffix(inner, []byte("}"))
		}
		p := &spb.Status{}
		if err := protojson.Unmarshal(text, p); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		a.status, a.challenges = status.FromProto(p), response.Header.Values("Grpc-Metadata-Www-Authenticate")
	default:
		a.status = connectStatus(t, body)
	}
	return a
}

// lastFrame returns the contents of the frame with a flag, or nil.
func lastFrame(body []byte, flag byte) []byte {
	for len(body) >= 5 {
		n := 5 + int(binary.BigEndian.Uint32(body[1:5]))
		if n > len(body) {
			return nil
		}
		if body[0]&flag != 0 {
			return body[5:n]
		}
		body = body[n:]
	}
	return nil
}

func gRPCStatus(t *testing.T, response *http.Response, ends http.Header) *status.Status {
	t.Helper()
	code, err := strconv.ParseUint(ends.Get("Grpc-Status"), 10, 8)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, grpc-status in %v: %v", response.StatusCode, ends, err)
	}
	p := &spb.Status{}
	details, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(ends.Get("Grpc-Status-Details-Bin"), "="))
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(details, p); err != nil {
		t.Fatal(err)
	}
	if p.GetCode() != 0 && uint64(p.GetCode()) != code {
		t.Errorf("grpc-status %d, and in the details %d", code, p.GetCode())
	}
	p.Code = int32(code)
	return status.FromProto(p)
}

// connectStatus returns an error of Connect, in JSON, as a status. No text is no error.
func connectStatus(t *testing.T, text []byte) *status.Status {
	t.Helper()
	if len(text) == 0 {
		return status.New(codes.OK, "")
	}
	var e struct {
		Code    json.RawMessage // grpc-gateway: a number
		Message string
		Details []struct{ Type, Value string }
	}
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	var code connect.Code
	if n, err := strconv.Atoi(string(e.Code)); err == nil {
		code = connect.Code(n)
	} else if err := json.Unmarshal(e.Code, &code); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	p := &spb.Status{Code: int32(code), Message: e.Message}
	for _, d := range e.Details {
		value, err := base64.RawStdEncoding.DecodeString(d.Value)
		if err != nil {
			t.Fatal(err)
		}
		p.Details = append(p.Details, &anypb.Any{TypeUrl: "type.googleapis.com/" + d.Type, Value: value})
	}
	return status.FromProto(p)
}

// frame returns a message as gRPC and Connect streams send it.
func frame(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

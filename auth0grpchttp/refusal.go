package auth0grpchttp

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/retryafter"
)

// A protocol is the form in which a client expects an error.
type protocol int

const (
	plain         protocol = iota // a JSON error with an HTTP status; unary Connect too
	connectStream                 // an end-of-stream message
	gRPC                          // grpc-status in headers, without a body
)

// protocolOf returns the protocol of a request, and its media type.
func protocolOf(r *http.Request) (protocol, string) {
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	rest, isGRPC := strings.CutPrefix(mediaType, "application/grpc")
	switch {
	case strings.HasPrefix(mediaType, "application/connect+"):
		return connectStream, mediaType
	case isGRPC && (rest == "" || rest[0] == '+' || strings.HasPrefix(rest, "-web")):
		return gRPC, mediaType
	}
	return plain, mediaType
}

// isStreaming reports whether the protocol of a request lets it stay open. gRPC does not
// tell unary calls from streams.
func isStreaming(r *http.Request) bool {
	p, _ := protocolOf(r)
	return p != plain
}

// maxDiscard is the size of a body from which the connection is closed instead of
// reading the rest. A smaller body costs less than a new connection.
const maxDiscard = 64 << 10

// WriteRefusal answers a request with a refusal, in the protocol of the request. It
// reads nothing of the body. [Handler] calls it; call it for a decision of your own.
func WriteRefusal(w http.ResponseWriter, r *http.Request, refusal *auth0grpc.Refusal) {
	header := w.Header()
	for _, challenge := range refusal.Challenges() {
		header.Add("WWW-Authenticate", challenge)
	}
	if nonce := refusal.DPoPNonce(); nonce != "" {
		header.Set("DPoP-Nonce", nonce)
	}
	if delay := refusal.RetryAfter(); delay > 0 {
		header.Set("Retry-After", retryafter.Seconds(delay))
	}
	header.Set("Cache-Control", "no-store")
	if r.ProtoMajor == 1 && (r.ContentLength < 0 || r.ContentLength > maxDiscard) {
		header.Set("Connection", "close") // or net/http reads up to 256 KiB of the body
	}
	p, mediaType := protocolOf(r)
	status := refusal.GRPCStatus().Proto()
	switch p {
	case gRPC:
		header.Set("Content-Type", mediaType)
		header.Set("Grpc-Status", strconv.Itoa(int(status.GetCode())))
		header.Set("Grpc-Message", percentEncode(status.GetMessage()))
		if details, err := proto.Marshal(status); err == nil {
			header.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(details))
		}
		if delay := refusal.RetryAfter(); delay > 0 {
			header.Set("Grpc-Retry-Pushback-Ms", strconv.FormatInt(delay.Milliseconds(), 10))
		}
		w.WriteHeader(http.StatusOK)
	case connectStream:
		header.Set("Content-Type", mediaType)
		w.WriteHeader(http.StatusOK)
		body := marshal(endOfStream{errorOf(status)})
		frame := binary.BigEndian.AppendUint32([]byte{endStreamFlag}, uint32(len(body)))
		_, _ = w.Write(append(frame, body...)) // an error: the client left
	default:
		body := marshal(errorOf(status))
		header.Set("Content-Type", "application/json")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(refusal.HTTPStatus())
		_, _ = w.Write(body) // an error: the client left
	}
}

// endStreamFlag marks the last message of a Connect stream.
const endStreamFlag = 0b10

// endOfStream is the last message of a Connect stream.
type endOfStream struct {
	Error connectError `json:"error"`
}

// A connectError is an error of the Connect protocol, in JSON.
type connectError struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Details []connectDetail `json:"details,omitempty"`
}

type connectDetail struct {
	Type  string          `json:"type"`
	Value string          `json:"value"`
	Debug json.RawMessage `json:"debug,omitempty"`
}

func errorOf(status *spb.Status) connectError {
	e := connectError{Code: connectCode(codes.Code(status.GetCode())), Message: status.GetMessage()}
	for _, detail := range status.GetDetails() {
		d := connectDetail{Type: string(detail.MessageName()), Value: base64.RawStdEncoding.EncodeToString(detail.GetValue())}
		if message, err := detail.UnmarshalNew(); err == nil {
			d.Debug, _ = protojson.Marshal(message) // optional: Value has the same content
		}
		e.Details = append(e.Details, d)
	}
	return e
}

// connectCode returns the name of a code in Connect: the name in gRPC's own lists, in
// lower case.
func connectCode(code codes.Code) string {
	switch code {
	case codes.Unauthenticated:
		return "unauthenticated"
	case codes.PermissionDenied:
		return "permission_denied"
	case codes.Unavailable:
		return "unavailable"
	case codes.ResourceExhausted:
		return "resource_exhausted"
	case codes.NotFound:
		return "not_found"
	case codes.Canceled:
		return "canceled"
	case codes.DeadlineExceeded:
		return "deadline_exceeded"
	case codes.Internal:
		return "internal"
	}
	return "unknown"
}

// marshal encodes a value that JSON can represent. It panics for any other.
func marshal(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic("auth0grpchttp: " + err.Error())
	}
	return text
}

// percentEncode encodes grpc-message: all bytes but printable ASCII, and the percent
// sign.
func percentEncode(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

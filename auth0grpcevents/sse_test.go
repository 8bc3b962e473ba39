package auth0grpcevents

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// readAll returns the messages of a stream, each as "event|id|data".
func readAll(r *messageReader) (messages []string, err error) {
	for {
		m, err := r.next()
		if err != nil {
			return messages, err
		}
		text := m.event + "|" + m.id + "|" + string(m.data)
		if m.oversize {
			text += "oversize"
		}
		messages = append(messages, text)
	}
}

func TestMessageReader(t *testing.T) {
	for _, test := range []struct {
		name, stream string
		want         string // joined by " "
	}{
		{"nothing", "", ""},
		{"comments", ":connected\n: heartbeat\n\n:\n\n", ""},
		{"one message", "event: a\nid: 1\ndata: x\n\n", "a|1|x"},
		{"without spaces", "event:a\nid:1\ndata:x\n\n", "a|1|x"},
		{"one space is removed", "data:  x\n\n", "|| x"},
		{"CRLF", "id: 1\r\ndata: x\r\n\r\ndata: y\r\n\r\n", "|1|x ||y"},
		{"CR", "id: 1\rdata: x\r\rdata: y\r\r", "|1|x ||y"},
		{"lines of data", "data: x\ndata\ndata: y\n\n", "||x\n\ny"},
		{"a byte order mark", "\xef\xbb\xbfid: 1\ndata: x\n\n", "|1|x"},
		{"the id is not kept", "id: 1\ndata: x\n\ndata: y\n\n", "|1|x ||y"},
		{"the last id counts", "id: 1\nid: 2\ndata: x\n\n", "|2|x"},
		{"an id with NUL", "id: 1\x002\ndata: x\n\n", "||x"},
		{"an id that is too long", "id: " + strings.Repeat("1", 1025) + "\ndata: x\n\n", "||x"},
		{"an id of the greatest length", "id: " + strings.Repeat("1", 1024) + "\ndata: x\n\n", "|" + strings.Repeat("1", 1024) + "|x"},
		{"unknown fields", "foo: bar\nDATA: x\n data: y\ndata: z\n\n", "||z"},
		{"an id alone", "event: offset-only\nid: 1\n\n", "offset-only|1|"},
		{"an id and nothing else", "id: 1\n\n", "|1|"},
		{"an event and nothing else", "event: a\n\n", "a||"},
		{"an id before one with NUL", "id: 1\nid: 1\x002\ndata: x\n\n", "||x"},
		{"an id that begins with NUL", "id: \x001\ndata: x\n\n", "||x"},
		{"CR before LF", "id: 1\rdata: x\n\ndata: y\r\n\n", "|1|x ||y"},
		{"a later byte order mark", "id: 1\n\xef\xbb\xbfdata: x\ndata: y\n\n", "|1|y"},
		{"cut", "id: 1\ndata: x\n\nid: 2\ndata: y\n", "|1|x"},
		{"cut in a line", "data: x\n\ndata: y", "||x"},
	} {
		for name, in := range map[string]io.Reader{
			"at once": strings.NewReader(test.stream), "byte by byte": iotest.OneByteReader(strings.NewReader(test.stream)),
		} {
			t.Run(test.name+", "+name, func(t *testing.T) {
				messages, err := readAll(newMessageReader(in))
				if got := strings.Join(messages, " "); got != test.want || err != io.EOF {
					t.Errorf("read %q and %v, want %q", got, err, test.want)
				}
			})
		}
	}
}

func TestRetryField(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"retry: 2000\n\n": 2 * time.Second, "retry: 1\nretry: 3\n\n": 3 * time.Millisecond, "retry: x\n\n": 0, "retry: -1\n\n": 0,
		"retry: 99999999999999999999\n\n": 0, "retry: 1.5\n\n": 0, "retry:\n\n": 0,
	} {
		r := newMessageReader(strings.NewReader(text))
		if _, err := r.next(); err != io.EOF || r.retry != want {
			t.Errorf("%q: retry %v and %v, want %v", text, r.retry, err, want)
		}
	}
}

// endless is a stream that repeats a text.
type endless struct {
	text string
	next int // the byte of text to read
	left int
	max  int // the largest capacity of a buffer that was seen
	r    *messageReader
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	e.max = max(e.max, cap(e.r.line), cap(e.r.data))
	n := copy(p, e.text[e.next:])
	e.next = (e.next + n) % len(e.text)
	e.left -= n
	return n, nil
}

// Neither a line nor a message without end costs more memory than maxMessage and its
// growth. The next message is read.
func TestMessagesAreBounded(t *testing.T) {
	for name, test := range map[string]struct{ text, after, want string }{
		"a line":                  {"data: x", "\n\ndata: y\n\n", "||oversize ||y"},
		"a message":               {"data: " + strings.Repeat("x", 100) + "\n", "\n\ndata: y\n\n", "||oversize ||y"},
		"a comment":               {":", "\n\ndata: y\n\n", "||y"},
		"a field without a colon": {"x", "\n\ndata: y\n\n", "||y"},
		"ids":                     {"id: 1\n", "data: x\n\ndata: y\n\n", "|1|x ||y"},
		"empty lines":             {"\n", "data: y\n\n", "||y"},
	} {
		t.Run(name, func(t *testing.T) {
			stream := &endless{text: strings.Repeat(test.text, 8192/len(test.text)), left: 3 * maxMessage}
			r := newMessageReader(nil)
			stream.r = r
			r.in.Reset(io.MultiReader(stream, strings.NewReader(test.after)))
			messages, err := readAll(r)
			if got := strings.Join(messages, " "); err != io.EOF || !strings.HasSuffix(got, strings.TrimPrefix(test.want, "|1|x ")) {
				t.Errorf("read %.80q and %v, want %q", got, err, test.want)
			}
			if stream.max > 2*maxMessage {
				t.Errorf("a buffer of %d bytes, want at most %d", stream.max, 2*maxMessage)
			}
			if n := max(cap(r.line), cap(r.data)); n > 1<<17 {
				t.Errorf("a buffer of %d bytes stays", n)
			}
		})
	}
}

// TestLargestMessage covers the largest line and the largest message, and those that have
// a byte more. The id after such a line is read.
func TestLargestMessage(t *testing.T) {
	const field, half = "data: ", maxMessage / 2
	for name, test := range map[string]struct {
		text string
		want int // bytes of data; 0: oversize
	}{
		"the largest line":    {field + strings.Repeat("x", maxMessage-len(field)), maxMessage - len(field)},
		"a longer line":       {field + strings.Repeat("x", maxMessage-len(field)+1), 0},
		"the largest message": {field + strings.Repeat("x", half) + "\n" + field + strings.Repeat("x", half-1), maxMessage},
		"a longer message":    {field + strings.Repeat("x", half) + "\n" + field + strings.Repeat("x", half), 0},
		"more after it":       {field + strings.Repeat("x", maxMessage) + "\n" + field + "x", 0},
	} {
		r := newMessageReader(strings.NewReader(test.text + "\nid: 1\n\n"))
		m, err := r.next()
		if err != nil || len(m.data) != test.want || m.oversize != (test.want == 0) || m.id != "1" {
			t.Errorf("%s: %d bytes, oversize %t, id %q, %v, want %d bytes", name, len(m.data), m.oversize, m.id, err, test.want)
		}
	}
}

// FuzzMessages reads a stream in two ways, which must agree.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("event: a\nid: 1\ndata: x\r\n\r:\rdata: y\n\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, _ := readAll(newMessageReader(bytes.NewReader(stream)))
		bytewise, _ := readAll(newMessageReader(iotest.OneByteReader(bytes.NewReader(stream))))
		if strings.Join(whole, "\n") != strings.Join(bytewise, "\n") {
			t.Errorf("%q and %q", whole, bytewise)
		}
	})
}

// FuzzEvent states what every event has that is accepted.
func FuzzEvent(f *testing.F) {
	for kind, object := range map[string]string{
		"user.updated": `{"user_id":"u","blocked":true}`, "user.deleted": `{"user_id":"u"}`, "organization.deleted": `{"id":"org_1"}`,
		"organization.member.deleted": `{"organization":{"id":"org_1"},"user":{"user_id":"u"}}`,
	} {
		f.Add([]byte(`{"specversion":"1.0","type":"` + kind + `","id":"evt_1","time":"2026-03-01T11:59:58Z","a0tenant":"t","data":{"object":` + object + `}}`))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parseEvent(text)
		if err != nil || !e.known() {
			var problem malformed
			if err != nil && !errors.As(err, &problem) && !errors.Is(err, errOtherTenant) {
				t.Errorf("an unknown error: %v", err)
			}
			return
		}
		r, ends, err := mappings[e.kind](e.object)
		named := r.Subject != "" && e.kind != "organization.deleted" || r.OrganizationID != "" && e.kind == "organization.deleted"
		if ends && (err != nil || !named || e.tenant == "" || e.id == "" || e.time.Unix() <= 0) {
			t.Errorf("%+v of %+v, %v", r, e, err)
		}
		if !ends && r.Subject+r.OrganizationID != "" && err == nil {
			t.Errorf("%+v beside an event that ends nothing", r)
		}
	})
}

package auth0grpcevents

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"time"
)

// maxMessage bounds one message of the stream and one body of the webhook, in bytes. An
// event contains the profile of a user twice.
const maxMessage = 4 << 20

// A message is one message of a stream of server-sent events.
type message struct {
	event, id string
	data      []byte // valid until the next message
	oversize  bool   // data was longer than maxMessage and is dropped
}

// A messageReader reads server-sent events (WHATWG HTML, section 9.2). Its memory is
// bounded by maxMessage for lines and messages of any length.
type messageReader struct {
	in    *bufio.Reader
	retry time.Duration // the last retry field; 0: none
	begun bool          // the first bytes were read
	line  []byte
	data  []byte
	skip  bool // the last line ended in CR; an LF belongs to it
}

func newMessageReader(in io.Reader) *messageReader {
	return &messageReader{in: bufio.NewReaderSize(in, 16<<10)}
}

// next returns the next message that has a data, event or id field. It returns the error
// of the reader, also in the middle of a message, which is then discarded.
func (r *messageReader) next() (message, error) {
	var m message
	r.data = reuse(r.data)
	hasData := false
	for {
		oversize, err := r.readLine()
		if err != nil {
			return message{}, err
		}
		if len(r.line) == 0 {
			if hasData || m.event != "" || m.id != "" {
				m.data = r.data
				return m, nil
			}
			continue
		}
		name, value, _ := bytes.Cut(r.line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "data":
			if hasData {
				r.data = append(r.data, '\n')
			}
			hasData = true
			if m.oversize = m.oversize || oversize || len(r.data)+len(value) > maxMessage; m.oversize {
				r.data = r.data[:0]
				continue
			}
			r.data = append(r.data, value...)
		case "event":
			m.event = string(value[:min(len(value), maxName)])
		case "id":
			m.id = ""
			if len(value) <= maxOffset && bytes.IndexByte(value, 0) < 0 {
				m.id = string(value)
			}
		case "retry":
			if milliseconds, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				r.retry = time.Duration(milliseconds) * time.Millisecond
			}
		}
	}
}

// readLine reads the next line, without its end, which is LF, CR or both. It reports
// whether the line was longer than maxMessage; it then keeps the beginning.
func (r *messageReader) readLine() (oversize bool, err error) {
	r.line = reuse(r.line)
	for {
		if _, err := r.in.Peek(1); err != nil {
			return false, err
		}
		chunk, _ := r.in.Peek(r.in.Buffered()) // no error: all of it is there
		if r.skip {
			if r.skip = false; chunk[0] == '\n' {
				_, _ = r.in.Discard(1)
				continue
			}
		}
		end := bytes.IndexAny(chunk, "\r\n")
		part := chunk
		if end >= 0 {
			part = chunk[:end]
		}
		if room := maxMessage - len(r.line); len(part) > room {
			oversize, part = true, part[:room]
		}
		r.line = append(r.line, part...)
		if end < 0 {
			_, _ = r.in.Discard(len(chunk))
			continue
		}
		r.skip = chunk[end] == '\r'
		_, _ = r.in.Discard(end + 1)
		if !r.begun {
			r.begun = true
			r.line = bytes.TrimPrefix(r.line, []byte("\xef\xbb\xbf"))
		}
		return oversize, nil
	}
}

// reuse returns a buffer without its content. It drops a large one: one long message
// must not cost its memory for ever.
func reuse(buffer []byte) []byte {
	if cap(buffer) > 64<<10 {
		return nil
	}
	return buffer[:0]
}

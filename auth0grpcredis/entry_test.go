package auth0grpcredis

import (
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

var noon = time.Date(2031, time.March, 14, 12, 0, 0, 123456789, time.UTC)

func TestEncode(t *testing.T) {
	r := auth0grpc.Revocation{
		Subject: "auth0|1", ClientID: "c", OrganizationID: "org_1", TokenID: "t",
		IssuedBefore: noon.In(time.FixedZone("", 3600)),
	}
	text, err := encode(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"sub":"auth0|1","client_id":"c","org_id":"org_1","jti":"t","issued_before":"2031-03-14T12:00:00.123456789Z"}`
	if string(text) != want {
		t.Errorf("encode = %s, want %s", text, want)
	}
	r.IssuedBefore = noon
	if got, err := decode(map[string]any{"v1": want}); err != nil || got != r {
		t.Errorf("decode = %v, %v, want %v", got, err, r)
	}
}

func TestDecode(t *testing.T) {
	const sound = `{"sub":"s","issued_before":"2031-03-14T12:00:00Z"}`
	for _, test := range []struct {
		name   string
		fields map[string]any
		ok     bool
	}{
		{"sound", map[string]any{"v1": sound}, true},
		{"sound beside a later version", map[string]any{"v1": sound, "v2": "?"}, true},
		{"all tokens issued before", map[string]any{"v1": `{"issued_before":"2031-03-14T12:00:00Z"}`}, true},
		{"no field", nil, false},
		{"a later version alone", map[string]any{"v2": sound}, false},
		{"not a string", map[string]any{"v1": 1}, false},
		{"empty", map[string]any{"v1": ""}, false},
		{"not JSON", map[string]any{"v1": "sub=s"}, false},
		{"not an object", map[string]any{"v1": `["s"]`}, false},
		{"null", map[string]any{"v1": "null"}, false},
		{"no time", map[string]any{"v1": `{"sub":"s"}`}, false},
		{"time as a number", map[string]any{"v1": `{"sub":"s","issued_before":1931342400}`}, false},
		{"zero time", map[string]any{"v1": `{"sub":"s","issued_before":"0001-01-01T00:00:00Z"}`}, false},
		{"unknown member", map[string]any{"v1": `{"sub":"s","device":"d","issued_before":"2031-03-14T12:00:00Z"}`}, false},
		{"member of another type", map[string]any{"v1": `{"sub":["s"],"issued_before":"2031-03-14T12:00:00Z"}`}, false},
		{"cut off", map[string]any{"v1": sound[:len(sound)-1]}, false},
		{"trailing bytes", map[string]any{"v1": sound + "{}"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := decode(test.fields)
			if ok := err == nil; ok != test.ok {
				t.Fatalf("decode = %v, %v, want ok %t", r, err, test.ok)
			}
			if err != nil && r != (auth0grpc.Revocation{}) {
				t.Errorf("decode = %v beside an error", r)
			}
		})
	}
}

// FuzzDecode states that whatever is accepted has a time and survives encoding.
func FuzzDecode(f *testing.F) {
	f.Add(`{"sub":"s","issued_before":"2031-03-14T12:00:00Z"}`)
	f.Add(`{"jti":"t","issued_before":"2031-03-14T12:00:00.5+01:00"}`)
	f.Add(`{"sub":"s"}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := decode(map[string]any{version: text})
		if err != nil {
			return
		}
		if r.IssuedBefore.IsZero() {
			t.Fatalf("decode(%q) has no time", text)
		}
		again, err := encode(r)
		if err != nil {
			return // a year that a zone moved out of what RFC 3339 can say
		}
		r.IssuedBefore = r.IssuedBefore.UTC()
		if same, err := decode(map[string]any{version: string(again)}); err != nil || same != r {
			t.Fatalf("decode(encode(%v)) = %v, %v", r, same, err)
		}
	})
}

package auth0grpcredis

import (
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

var noon = time.Date(2031, time.March, 14, 12, 0, 0, 123456789, time.UTC)

func TestEncode(t *testing.T) {
	r := auth0grpc.Revocation{
		Issuer: "https://tenant.example/", Subject: "auth0|1", ClientID: "c", OrganizationID: "org_1", TokenID: "t",
		IssuedBefore: noon.In(time.FixedZone("", 3600)),
	}
	text, err := encode(r, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"iss":"https://tenant.example/","sub":"auth0|1","client_id":"c","org_id":"org_1","jti":"t","issued_before":"2031-03-14T12:00:00.123456789Z"}`
	if string(text) != want {
		t.Errorf("encode = %s, want %s", text, want)
	}
	r.IssuedBefore = noon
	if got, err := decode(want, noon, noon); err != nil || got != r {
		t.Errorf("decode = %v, %v, want %v", got, err, r)
	}

	// The clock of the publisher, in UTC as well.
	text, err = encode(auth0grpc.Revocation{Subject: "s", IssuedBefore: noon}, noon.In(time.FixedZone("", 3600)))
	const published = `{"sub":"s","issued_before":"2031-03-14T12:00:00.123456789Z","published_at":"2031-03-14T12:00:00.123456789Z"}`
	if err != nil || string(text) != published {
		t.Errorf("encode = %s, %v, want %s", text, err, published)
	}
}

func TestDecode(t *testing.T) {
	for _, test := range []struct {
		name, value string
		ok          bool
	}{
		{"by subject", `{"sub":"s","issued_before":"2031-03-14T12:00:00Z"}`, true},
		{"by issuer and subject", `{"iss":"i","sub":"s","issued_before":"2031-03-14T12:00:00Z"}`, true},
		{"with the publisher's clock", `{"sub":"s","issued_before":"2031-03-14T12:00:00Z","published_at":"2031-03-14T12:00:00Z"}`, true},
		{"all tokens issued before", `{"issued_before":"2031-03-14T12:00:00Z"}`, true},
		{"white space", ` { "sub" : "s" , "issued_before" : "2031-03-14T12:00:00Z" } `, true},
		{"longest field", `{"sub":"` + strings.Repeat("s", maxField) + `","issued_before":"2031-03-14T12:00:00Z"}`, true},
		{"field too long", `{"sub":"` + strings.Repeat("s", maxField+1) + `","issued_before":"2031-03-14T12:00:00Z"}`, false},
		{"empty", "", false},
		{"not JSON", "sub=s", false},
		{"not an object", `["s"]`, false},
		{"null", "null", false},
		{"no time", `{"sub":"s"}`, false},
		{"time as a number", `{"sub":"s","issued_before":1931342400}`, false},
		{"time null", `{"sub":"s","issued_before":null}`, false},
		{"zero time", `{"sub":"s","issued_before":"0001-01-01T00:00:00Z"}`, false},
		{"time in a zone", `{"sub":"s","issued_before":"2031-03-14T12:00:00+00:00"}`, false},
		{"time with a trailing zero", `{"sub":"s","issued_before":"2031-03-14T12:00:00.10Z"}`, false},
		{"time in the year 10000", `{"sub":"s","issued_before":"10000-03-14T12:00:00Z"}`, false},
		{"publisher's clock null", `{"sub":"s","issued_before":"2031-03-14T12:00:00Z","published_at":null}`, false},
		{"publisher's clock zero", `{"sub":"s","issued_before":"2031-03-14T12:00:00Z","published_at":"0001-01-01T00:00:00Z"}`, false},
		{"subject null", `{"sub":null,"issued_before":"2031-03-14T12:00:00Z"}`, false},
		{"subject empty", `{"sub":"","issued_before":"2031-03-14T12:00:00Z"}`, false},
		{"issuer null", `{"iss":null,"sub":"s","issued_before":"2031-03-14T12:00:00Z"}`, false},
		{"client null", `{"client_id":null,"sub":"s","issued_before":"2031-03-14T12:00:00Z"}`, false},
		{"organization empty", `{"org_id":"","sub":"s","issued_before":"2031-03-14T12:00:00Z"}`, false},
		{"token id a number", `{"jti":1,"sub":"s","issued_before":"2031-03-14T12:00:00Z"}`, false},
		{"subject twice", `{"sub":"s","sub":"t","issued_before":"2031-03-14T12:00:00Z"}`, false},
		{"subject twice, once escaped", `{"sub":"s","\u0073ub":"t","issued_before":"2031-03-14T12:00:00Z"}`, false},
		{"subject in capitals", `{"SUB":"s","issued_before":"2031-03-14T12:00:00Z"}`, false},
		{"subject an array", `{"sub":["s"],"issued_before":"2031-03-14T12:00:00Z"}`, false},
		{"subject not UTF-8", "{\"sub\":\"s\xff\",\"issued_before\":\"2031-03-14T12:00:00Z\"}", false},
		{"subject half a surrogate pair", `{"sub":"s\ud800","issued_before":"2031-03-14T12:00:00Z"}`, false},
		{"unknown member", `{"sub":"s","device":"d","issued_before":"2031-03-14T12:00:00Z"}`, false},
		{"cut off", `{"sub":"s","issued_before":"2031-03-14T12:00:00Z"`, false},
		{"trailing bytes", `{"sub":"s","issued_before":"2031-03-14T12:00:00Z"}{}`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := decode(test.value, noon, noon)
			if ok := err == nil; ok != test.ok {
				t.Fatalf("decode = %v, %v, want ok %t", r, err, test.ok)
			}
			if err != nil && (r != (auth0grpc.Revocation{}) || err != errMalformed) {
				t.Errorf("decode = %v, %v, want a fixed error alone", r, err)
			}
		})
	}
}

// Which clock decides: the publisher's, the server's (of the entry) or ours.
func TestCorrectClock(t *testing.T) {
	year, hour := noon.AddDate(1, 0, 0), noon.Add(-time.Hour)
	for _, test := range []struct {
		name                                        string
		issuedBefore, publishedAt, added, now, want time.Time
	}{
		{"all clocks right", noon.Add(time.Second), noon, noon, noon, noon.Add(time.Second)},
		{"publisher 5 minutes behind", noon.Add(-5*time.Minute + time.Second), noon.Add(-5 * time.Minute), noon, noon, noon.Add(time.Second)},
		{"publisher a year ahead", year.Add(time.Second), year, noon, noon, noon.Add(time.Second)},
		{"publisher a year ahead, read an hour later", year.Add(time.Second), year, noon, noon.Add(time.Hour), noon.Add(time.Second)},
		{"server an hour behind", noon.Add(time.Second), noon, hour, noon, noon.Add(time.Second)},
		{"this replica an hour behind", noon.Add(time.Second), noon, noon, hour, noon.Add(time.Second)},
		{"skew beyond the allowed", noon.Add(time.Hour), noon, noon, noon, noon},
		{"absolute, earlier", hour, time.Time{}, noon, noon, hour},
		{"absolute, at most ahead", noon.Add(maxAhead), time.Time{}, noon, noon, noon.Add(maxAhead)},
		{"absolute, too far ahead", noon.Add(maxAhead + 1), time.Time{}, noon, noon, noon},
		{"absolute, in the year 9999", time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Time{}, noon, noon, noon},
		{"absolute, server an hour behind", noon, time.Time{}, hour, noon, noon},
		{"absolute, this replica an hour behind", noon, time.Time{}, noon, hour, noon},
		{"publisher's clock made up", noon, time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), noon, noon, noon},
	} {
		if got := correctClock(test.issuedBefore, test.publishedAt, test.added, test.now); !got.Equal(test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// FuzzDecode states that a revocation that is accepted has a time, not far ahead,
// and survives encoding.
func FuzzDecode(f *testing.F) {
	f.Add(`{"sub":"s","issued_before":"2031-03-14T12:00:00Z"}`)
	f.Add(`{"iss":"i","jti":"t","issued_before":"2031-03-14T12:00:00.5Z","published_at":"2031-03-14T11:00:00Z"}`)
	f.Add(`{"sub":"s"}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := decode(text, noon, noon)
		if err != nil {
			return
		}
		if r.IssuedBefore.IsZero() || r.IssuedBefore.After(noon.Add(maxAhead)) {
			t.Fatalf("decode(%q) has the time %v", text, r.IssuedBefore)
		}
		again, err := encode(r, time.Time{})
		if err != nil {
			return // a time before year 0, which RFC 3339 does not have
		}
		if same, err := decode(string(again), noon, noon); err != nil || same != r {
			t.Fatalf("decode(encode(%v)) = %v, %v", r, same, err)
		}
	})
}

func TestEntryID(t *testing.T) {
	for text, want := range map[string]entryID{
		"5-1": {5, 1}, "0-0": {}, "": {}, "5": {}, "-": {}, "5-": {}, "x-1": {}, "-5-1": {},
		"18446744073709551615-18446744073709551615": {1<<64 - 1, 1<<64 - 1},
	} {
		id := parseEntryID(text)
		if id != want {
			t.Errorf("parseEntryID(%q) = %v, want %v", text, id, want)
		}
		if want != (entryID{}) && id.String() != text {
			t.Errorf("parseEntryID(%q).String() = %s", text, id)
		}
	}
	ordered := []entryID{{}, {1, 2}, {1, 3}, {2, 0}, {1<<64 - 1, 1}}
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := a.compare(b), min(1, max(-1, i-j)); got != want {
				t.Errorf("%v.compare(%v) = %d, want %d", a, b, got, want)
			}
		}
	}
	if got := (entryID{1<<64 - 1, 0}).time(); got.UTC().Year() != 9999 {
		t.Errorf("the time of the last id is %v, want one of the year 9999", got)
	}
}

package configerror

import (
	"errors"
	"testing"
)

func TestText(t *testing.T) {
	for _, test := range []struct{ value, want string }{
		{"", "auth0grpc: Config.Issuers reason"},
		{"x", `auth0grpc: Config.Issuers: "x": reason`},
	} {
		if got := Text("auth0grpc", "Issuers", test.value, "reason"); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestJoinSorts(t *testing.T) {
	err := Join([]error{errors.New("c"), errors.New("a"), errors.New("b")})
	if got, want := err.Error(), "a\nb\nc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if Join[error](nil) != nil {
		t.Error("an error without a fault")
	}
}

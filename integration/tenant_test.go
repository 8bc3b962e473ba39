package integration

import (
	_ "embed"
	"encoding/json"
)

// tenantFile is the file that the provider and the tests share: applications, users and
// the API.
//
//go:embed node/tenant.json
var tenantFile []byte

var tenant = func() (t struct {
	Audience        string
	RFC9068Audience string
	Callback        string
	Scopes          []string
	Organization    string
	Users           []struct{ ID, Username, Password string }
	Clients         []struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
}) {
	if err := json.Unmarshal(tenantFile, &t); err != nil {
		panic(err)
	}
	return t
}()

// secretOf returns the secret of a client, "" for a public one.
func secretOf(client string) string {
	for _, c := range tenant.Clients {
		if c.ID == client {
			return c.Secret
		}
	}
	panic("no client " + client)
}

// passwordOf returns the password of a user.
func passwordOf(username string) string {
	for _, u := range tenant.Users {
		if u.Username == username {
			return u.Password
		}
	}
	panic("no user " + username)
}

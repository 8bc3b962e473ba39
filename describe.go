package auth0grpc

import (
	"context"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/printable"
	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

// maxUnverified bounds the claims of an unverified token in a Decision, in bytes.
const maxUnverified = 128

// describe adds the peer to a Decision, and the claims of the token unless it is
// verified. ctx is the context of the call.
func describe(ctx context.Context, d *Decision) {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		d.Peer = p.Addr.String()
	}
	if d.Issuer != "" {
		return
	}
	cred, refused := parseCredential(metadata.ValueFromIncomingContext(ctx, "authorization"), true)
	if refused == nil {
		d.UnverifiedClientID, d.UnverifiedAudience = unverifiedClaims(cred.token)
	}
}

// unverifiedClaims returns the client and the audiences that a token names, cut and
// cleaned. They are empty if the token is malformed. It verifies nothing.
func unverifiedClaims(raw string) (clientID, audience string) {
	defer func() {
		if recover() != nil { // as in [recoverAsRefusal]
			clientID, audience = "", ""
		}
	}()
	parsed, err := jws.Parse(raw)
	if err != nil {
		return "", ""
	}
	var azp, client string
	var audiences []string
	err = strictjson.Object(parsed.Payload, func(name, value string) error {
		switch name {
		case "azp":
			azp, _ = strictjson.String(value)
		case "client_id":
			client, _ = strictjson.String(value)
		case "aud":
			audiences, _ = parseAudience(value)
		}
		return nil
	})
	if err != nil {
		return "", ""
	}
	if azp == "" {
		azp = client
	}
	return printable.Cut(azp, maxUnverified), printable.Cut(strings.Join(audiences, " "), maxUnverified)
}

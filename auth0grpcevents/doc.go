// Package auth0grpcevents revokes tokens when Auth0 reports that a user is blocked or
// deleted, that a member leaves an organization or loses a role in it, or that an
// organization is deleted. Calls with such a token are refused and open streams end, long
// before the token expires.
//
//	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
//		Issuer:       "https://TENANT.eu.auth0.com/",
//		ClientID:     "…",
//		ClientSecret: os.Getenv("EVENTS_CLIENT_SECRET"),
//		Audience:     "https://TENANT.eu.auth0.com/api/v2/",
//		Scopes:       []string{"read:events"},
//	})
//	…
//	go func() {
//		err := auth0grpcevents.Follow(ctx, guard, auth0grpcevents.Config{TokenSource: creds})
//		log.Print("Auth0's events are not followed: ", err)
//	}()
//
// [Follow] pulls the events from Auth0's Events API, by server-sent events. [Webhook]
// receives them from an Auth0 event stream. Both map an event to the same revocation, so
// a service may use either or both.
//
// # Replicas
//
// Auth0 allows 1, 4 or 8 connections to the Events API per tenant, depending on the
// plan. With a [Store] that the replicas share, one of them leads. It follows the tenant
// and publishes the revocations to auth0grpc.Config.RevocationFeed:
//
//	feed, err := auth0grpcredis.NewRevocationFeed(client, auth0grpcredis.FeedConfig{})
//	…
//	config := auth0grpcevents.Config{TokenSource: creds, Store: feed.EventStore()}
//
// # Events
//
// An event names its user by user_id, which is the sub of tokens, and its organization
// by id, which is their org_id:
//
//	user.updated, if blocked is true    the tokens of the user
//	user.deleted                        the tokens of the user
//	organization.member.deleted         the tokens of the user in the organization
//	organization.member.role.deleted    the same
//	organization.deleted                the tokens of the organization
//
// A revocation covers the tokens that were issued before the end of the second in which
// the event happened. A token that is issued later passes, but a blocked user gets none.
// The page docs/events.md of the repository lists the delays, and the changes in Auth0
// that no event reports.
//
// An event of an unknown type or version is skipped and counted. An event that lacks a
// field is skipped and reported: it never revokes more than it names. An event of another
// tenant is refused.
//
// # Secrets
//
// No text of this package contains a token, a secret, a user or a part of a response.
package auth0grpcevents

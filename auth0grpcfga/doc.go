// Package auth0grpcfga answers the relation rules of package auth0grpc with OpenFGA, Auth0
// FGA, or any decision point of the AuthZEN Authorization API 1.0.
//
//	checker, err := auth0grpcfga.NewChecker(auth0grpcfga.Config{
//		URL: "https://api.us1.fga.dev", Store: storeID, Model: modelID, Token: fgaToken,
//	})
//	guard, err := auth0grpc.New(auth0grpc.Config{
//		RelationChecker: checker,
//		Methods: map[string]auth0grpc.Rule{
//			"/orders.v1.Orders/Get": auth0grpc.Scopes("read:orders").Relation("viewer", "order:{order_id}"),
//		},
//		…
//	})
//
// The checker asks about the user [User] of the subject. Write tuples with the same
// function, so that both agree on subjects with unusual characters.
//
// Deadlines, the cache, and the bounds on checks belong to [auth0grpc.RelationConfig].
// The checker retries nothing.
package auth0grpcfga

package auth0grpc_test

import (
	"context"

	"github.com/auth0grpc/auth0grpc"
)

// noRelations is a checker that knows no relation.
var noRelations = auth0grpc.RelationCheckerFunc(func(context.Context, auth0grpc.RelationQuery) (bool, error) { return false, nil })

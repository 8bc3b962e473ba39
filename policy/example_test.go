package policy_test

import (
	"fmt"
	"log"
	"maps"
	"os"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy"
)

func ExampleParse() {
	methods, err := policy.Parse([]byte(`{
  "methods": {
    "/orders.v1.Orders/Get": {"scopes": ["read:orders"]},
    "/orders.v1.Orders/Put": {"anyScope": ["write:orders", "admin"], "reportOnly": true}
  }
}`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(methods["/orders.v1.Orders/Put"])
	// Output: write:orders OR admin, REPORT ONLY
}

func ExampleParse_faults() {
	_, err := policy.Parse([]byte(`{
  "methods": {
    "/orders.v1.Orders/Get": {"scopes": ["read:orders", ""]},
    "/orders.v1.Orders/Put": {"public": false},
    "/orders.v1.Orders/Put": {"scope": "write:orders"}
  }
}`))
	fmt.Println(err)
	// Output:
	// policy: 3:57: $.methods["/orders.v1.Orders/Get"].scopes[1]: is empty
	// policy: 4:41: $.methods["/orders.v1.Orders/Put"].public: want true, or leave it out
	// policy: 5:5: $.methods["/orders.v1.Orders/Put"]: is there twice, first in line 4
}

func ExampleMarshal() {
	document, err := policy.Marshal(map[string]auth0grpc.Rule{
		"/orders.v1.Orders/Put": auth0grpc.AnyScope("write:orders", "admin"),
		"/orders.v1.Orders/Get": auth0grpc.Scopes("read:orders"),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", document)
	// Output:
	// {
	//   "methods": {
	//     "/orders.v1.Orders/Get": {"scopes":["read:orders"]},
	//     "/orders.v1.Orders/Put": {"anyScope":["write:orders","admin"]}
	//   }
	// }
}

// Your own services state their rules in their .proto files; Go code states the rules
// for the services of others.
func ExampleMerge() {
	server := grpc.NewServer() // with its services registered
	declared, err := policy.FromServer(server)
	if err != nil {
		log.Fatal(err)
	}
	methods, err := policy.Merge(declared, map[string]auth0grpc.Rule{auth0grpc.HealthService: auth0grpc.Public()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(methods)
	// Output: map[/grpc.health.v1.Health/*:public]
}

// A proxy in front of services that are not linked into it: it has their .proto
// files as descriptors, which "buf build -o" and "protoc --include_imports
// --descriptor_set_out" write, and the names of those that it serves.
func ExampleFromServices() {
	data, err := os.ReadFile("../proto/testdata/shop.binpb")
	if err != nil {
		log.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		log.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		log.Fatal(err)
	}

	services := map[string]grpc.ServiceInfo{"shop.v1.ShopService": {}}
	methods, err := policy.FromServices(services, files)
	if err != nil {
		log.Fatal(err)
	}
	for _, method := range slices.Sorted(maps.Keys(methods))[:5] {
		fmt.Println(method, "-", methods[method])
	}
	// Output:
	// /shop.v1.ShopService/Approve - write:shop AND notDelegated
	// /shop.v1.ShopService/Assist - actor(agt_1)
	// /shop.v1.ShopService/Audit - organization(org_a)
	// /shop.v1.ShopService/Browse - authenticated, anonymous allowed
	// /shop.v1.ShopService/Export - permission(export:shop) OR permission(admin)
}

// A review of a change: one scope of two suffices now, and a method is gone.
func ExampleCompare() {
	old := map[string]auth0grpc.Rule{
		"/orders.v1.Orders/Get":    auth0grpc.Scopes("read:orders"),
		"/orders.v1.Orders/Refund": auth0grpc.Scopes("write:orders", "refund:orders"),
		"/orders.v1.Orders/Export": auth0grpc.Permissions("export:orders"),
	}
	updated := map[string]auth0grpc.Rule{
		"/orders.v1.Orders/Get":    auth0grpc.AnyOf(auth0grpc.Scopes("read:orders"), auth0grpc.Scopes("admin", "read:orders")),
		"/orders.v1.Orders/Refund": auth0grpc.AnyScope("write:orders", "refund:orders"),
	}
	differences, err := policy.Compare(old, updated)
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range differences {
		fmt.Printf("%s: %s\n  %s\n", d.Method, d.Change, d.Sentence)
		if d.Change.Loosens() {
			fmt.Println("  REVIEW THIS")
		}
	}
	// Output:
	// /orders.v1.Orders/Export: tighter
	//   The new table refuses a token with permission export:orders, which the old one admits. The new table does not list the method.
	// /orders.v1.Orders/Get: equal
	//   The rule has another form and admits the same calls.
	// /orders.v1.Orders/Refund: looser
	//   The new table admits a token with scope refund:orders, which the old one refuses.
	//   REVIEW THIS
}

package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// setupBlock returns the block of docs/auth0-setup.md in a language.
func setupBlock(t *testing.T, heading, language string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/auth0-setup.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "## "+heading+"\n")
	match := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindStringSubmatch(section)
	if !found || match == nil {
		t.Fatalf("docs/auth0-setup.md has no %s block under %q", language, heading)
	}
	return match[1]
}

// A tenantSetup holds the objects that a section of the page creates in Auth0.
type tenantSetup struct {
	identifier string   // of the API
	algorithm  string   // that the API signs with
	defined    []string // scopes of the API
	machine    bool     // an application for client credentials
	audience   string   // of the client grant
	granted    []string // scopes of the client grant
}

// setupByCLI reads the commands of the CLI section.
func setupByCLI(t *testing.T, script string) tenantSetup {
	t.Helper()
	var s tenantSetup
	for line := range strings.SplitSeq(strings.ReplaceAll(script, "\\\n", " "), "\n") {
		words := strings.Fields(line)
		if len(words) < 3 {
			continue
		}
		flags := map[string]string{}
		for i, word := range words {
			if strings.HasPrefix(word, "--") && i+1 < len(words) {
				flags[word] = words[i+1]
			}
		}
		switch strings.Join(words[:3], " ") {
		case "auth0 apis create":
			s.identifier, s.algorithm = flags["--identifier"], flags["--signing-alg"]
			s.defined = strings.Split(flags["--scopes"], ",")
		case "auth0 apps create":
			s.machine = flags["--type"] == "m2m"
		case "auth0 client-grants create":
			s.audience, s.granted = flags["--audience"], strings.Split(flags["--scopes"], ",")
		default:
			t.Errorf("unknown command: %s", line)
		}
	}
	return s
}

// setupByTerraform evaluates the resources of the Terraform section with the real
// HCL parser. References between resources resolve, or the test fails.
func setupByTerraform(t *testing.T, text string) tenantSetup {
	t.Helper()
	file, problems := hclsyntax.ParseConfig([]byte(text), "auth0-setup.md", hcl.InitialPos)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	var s tenantSetup
	known := &hcl.EvalContext{Variables: map[string]cty.Value{}}
	for _, block := range file.Body.(*hclsyntax.Body).Blocks {
		if block.Type != "resource" || len(block.Labels) != 2 {
			t.Fatalf("unexpected block %s %v", block.Type, block.Labels)
		}
		values := attributes(t, block.Body, known)
		strs := func(name string) (list []string) {
			for _, v := range values[name].AsValueSlice() {
				list = append(list, v.AsString())
			}
			return list
		}
		switch block.Labels[0] {
		case "auth0_resource_server":
			s.identifier, s.algorithm = values["identifier"].AsString(), values["signing_alg"].AsString()
		case "auth0_resource_server_scopes":
			if got := values["resource_server_identifier"].AsString(); got != s.identifier {
				t.Errorf("scopes are defined on %q, want %q", got, s.identifier)
			}
			for _, scope := range block.Body.Blocks {
				s.defined = append(s.defined, attributes(t, scope.Body, known)["name"].AsString())
			}
		case "auth0_client":
			s.machine = values["app_type"].AsString() == "non_interactive" && slices.Contains(strs("grant_types"), "client_credentials")
		case "auth0_client_grant":
			if got := values["client_id"].AsString(); got != "CLIENT_ID" {
				t.Errorf("the grant is for client %q, want the id of the application above", got)
			}
			s.audience, s.granted = values["audience"].AsString(), strs("scopes")
		default:
			t.Errorf("unknown resource %s", block.Labels[0])
		}
		values["id"] = cty.StringVal("CLIENT_ID") // the provider computes it
		known.Variables[block.Labels[0]] = cty.ObjectVal(map[string]cty.Value{block.Labels[1]: cty.ObjectVal(values)})
	}
	return s
}

func attributes(t *testing.T, body *hclsyntax.Body, known *hcl.EvalContext) map[string]cty.Value {
	t.Helper()
	values := map[string]cty.Value{}
	for name, attribute := range body.Attributes {
		value, problems := attribute.Expr.Value(known)
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		values[name] = value
	}
	return values
}

// Each section of the page leads to a token that a protected server accepts, as
// far as the test tenant can show it: the same API, application and client grant,
// and the request of the page.
func TestSetupPageLeadsToAToken(t *testing.T) {
	for name, setup := range map[string]tenantSetup{
		"CLI":       setupByCLI(t, setupBlock(t, "With the Auth0 CLI", "sh")),
		"Terraform": setupByTerraform(t, setupBlock(t, "With Terraform", "hcl")),
	} {
		t.Run(name, func(t *testing.T) {
			if setup.identifier == "" || setup.audience != setup.identifier {
				t.Fatalf("the client grant is for %q, the API is %q", setup.audience, setup.identifier)
			}
			if setup.algorithm != "RS256" || !setup.machine {
				t.Errorf("the API signs with %q and the application is for machines: %v; want RS256, true", setup.algorithm, setup.machine)
			}
			for _, scope := range setup.granted {
				if !slices.Contains(setup.defined, scope) {
					t.Errorf("scope %q is granted but not defined", scope)
				}
			}
			tenant := auth0grpctest.NewTenant(t)
			tenant.AddClient("CLIENT_ID", "CLIENT_SECRET", map[string][]string{setup.audience: setup.granted})
			token := requestToken(t, tenant, setupBlock(t, "Requesting a token", "sh"))

			guard, err := auth0grpc.New(auth0grpc.Config{
				Issuers:    []string{tenant.Issuer()},
				Audiences:  []string{setup.identifier},
				Methods:    map[string]auth0grpc.Rule{auth0grpc.HealthService: auth0grpc.Scopes("read:orders")},
				HTTPClient: tenant.HTTPClient(),
			})
			if err != nil {
				t.Fatal(err)
			}
			server := grpc.NewServer(guard.ServerOptions()...)
			healthv1.RegisterHealthServer(server, health.NewServer())
			_, err = healthv1.NewHealthClient(auth0grpctest.Connect(t, server, token)).Check(t.Context(), &healthv1.HealthCheckRequest{})
			if status.Code(err) != codes.OK {
				t.Errorf("a call with the token: %v", err)
			}
		})
	}
}

// requestToken makes the request that the curl line of the page makes.
func requestToken(t *testing.T, tenant *auth0grpctest.Tenant, script string) string {
	t.Helper()
	form := url.Values{}
	for _, match := range regexp.MustCompile(`-d (\w+)=(\S+)`).FindAllStringSubmatch(script, -1) {
		form.Set(match[1], match[2])
	}
	response, err := tenant.HTTPClient().PostForm(tenant.Issuer()+"oauth/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || answer.AccessToken == "" {
		t.Fatalf("the token endpoint answers %s", response.Status)
	}
	return answer.AccessToken
}

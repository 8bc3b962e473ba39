// Package corpus has the documents with which the parser and the JSON Schema are
// tested, so that both are held to the same verdicts.
package corpus

import "slices"

// A Document is a policy that is good or bad.
type Document struct {
	Name string
	Text string
	// Faults lists the parser's errors, "line:column: path" each; none if the document
	// is good.
	Faults []string
	// SchemaBlind says why a schema cannot see the faults; "" if it can.
	SchemaBlind string
}

const notJSON = "a schema judges values, and this is none"

// Documents returns all of them.
func Documents() []Document {
	all := append(good(), structural()...)
	return slices.Concat(all, rules(), messageRules())
}

func good() []Document {
	return []Document{
		{Name: "no rows", Text: "{\n  \"methods\": {}\n}\n"},
		{Name: "schema named", Text: `{"$schema": "https://example.com/policy.schema.json", "methods": {}}`},
		{Name: "canonical", Text: `{
  "methods": {
    "/a.B/*": {"public":true},
    "/a.B/ActedBy": {"actedBy":["agt_1","app"]},
    "/a.B/AllOf": {"allOf":[{"scopes":["read:a"]},{"anyOf":[{"permissions":["p"]},{"organizations":["org_1"]},{"authenticated":true}]}]},
    "/a.B/Anonymous": {"authenticated":true,"allowAnonymous":true},
    "/a.B/AnyPermission": {"anyPermission":["p","q"]},
    "/a.B/AnyScope": {"anyScope":["read:a","admin"]},
    "/a.B/Authenticated": {"authenticated":true},
    "/a.B/Bound": {"optional":true,"requireDPoP":true,"requireMTLS":true},
    "/a.B/Clients": {"clients":["x","y"]},
    "/a.B/NotDelegated": {"allOf":[{"notDelegated":true},{"scopes":["read:a"]}]},
    "/a.B/Optional": {"optional":true},
    "/a.B/Organizations": {"organizations":["org_1"]},
    "/a.B/Permissions": {"permissions":["p"]},
    "/a.B/Public": {"public":true},
    "/a.B/ReportOnly": {"scopes":["read:a"],"reportOnly":true},
    "/a.B/Same": {"scopes":["read:a"],"same":{"field":"org_id","claim":"ORGANIZATION"}},
    "/a.B/SameAndRelations": {"authenticated":true,"same":[{"field":"a.b","claim":"SUBJECT"},{"field":"c","namedClaim":"https://a.example/t"},{"field":"d","claim":"CLIENT"}],"relation":[{"relation":"viewer","object":"order:{id}"},{"relation":"member","object":"org:x/{a.b}/{c}-z"}],"hideExistence":true,"reportOnly":true},
    "/a.B/Scopes": {"scopes":["read:a","!#[]~"]},
    "/a.B/StreamsEndAfter": {"scopes":["read:a"],"streams":{"endAfter":"1m30s"}},
    "/a.B/StreamsEndAtExpiry": {"public":true,"streams":"endAtExpiry"},
    "/a.B/StreamsIgnoreExpiry": {"scopes":["read:a"],"streams":"ignoreExpiry","reportOnly":true},
    "/no_package/Do": {"scopes":["a\u0026b"]}
  }
}
`},
		{Name: "escapes", Text: `{"methods": {"\/a.B\/C": {"scop\u0065s": ["re\u0061d"]}}}`},
		{Name: "modifier first", Text: `{"methods": {"/a.B/C": {"reportOnly": true, "scopes": ["read:a"]}}}`},
		{Name: "durations", Text: row(`{"optional": true, "streams": {"endAfter": "1h0m1.5s10ms3µs4us5ns"}}`)},
		{Name: "one requirement in an array", Text: row(`{"authenticated": true, "same": [{"claim": "SUBJECT", "field": "a"}], "relation": [{"object": "system:main", "relation": "admin"}]}`)},
		{Name: "one part", Text: `{"methods": {"/a.B/C": {"allOf": [{"scopes": ["read:a"]}]}}}`},
	}
}

func structural() []Document {
	return []Document{
		{Name: "empty", Text: "", Faults: []string{"1:1: $"}, SchemaBlind: notJSON},
		{Name: "cut off", Text: "{\n", Faults: []string{"2:1: $"}, SchemaBlind: notJSON},
		{Name: "comma too many", Text: "{\n \"methods\": {},\n}", Faults: []string{"3:1: $"}, SchemaBlind: notJSON},
		{Name: "comment", Text: "{\n  // rows\n}", Faults: []string{"2:3: $"}, SchemaBlind: notJSON},
		{Name: "two documents", Text: "{\"methods\": {}}\n{}", Faults: []string{"2:1: $"}, SchemaBlind: notJSON},
		{Name: "not UTF-8", Text: "{\"m\xff\": 1}", Faults: []string{"1:4: $"}, SchemaBlind: notJSON},
		{Name: "null", Text: "null", Faults: []string{"1:1: $"}},
		{Name: "array", Text: " []", Faults: []string{"1:2: $"}},
		{Name: "no methods", Text: "{}", Faults: []string{"1:1: $"}},
		{Name: "other case", Text: `{"Methods": {}}`, Faults: []string{"1:1: $", "1:2: $.Methods"}},
		{Name: "unknown member", Text: "{\n  \"methods\": {},\n  \"version\": 1\n}", Faults: []string{"3:3: $.version"}},
		{Name: "schema of wrong type", Text: `{"$schema": 1, "methods": {}}`, Faults: []string{"1:13: $.$schema"}},
		{Name: "methods of wrong type", Text: `{"methods": []}`, Faults: []string{"1:13: $.methods"}},
		{
			Name: "methods twice", Text: "{\n  \"methods\": {},\n  \"methods\": {}\n}",
			Faults: []string{"3:3: $.methods"}, SchemaBlind: "duplicate",
		},
		{
			Name: "row twice", Text: "{\"methods\": {\n\"/a.B/C\": {\"public\": true},\n\"/a.B/\\u0043\": {\"scopes\": [\"a\"]}}}",
			Faults: []string{`3:1: $.methods["/a.B/C"]`}, SchemaBlind: "duplicate",
		},
		{
			Name: "member twice", Text: `{"methods": {"/a.B/C": {"scopes": ["a"], "scopes": ["a"]}}}`,
			Faults: []string{`1:42: $.methods["/a.B/C"].scopes`}, SchemaBlind: "duplicate",
		},
		{
			Name: "member twice where it is unknown", Text: `{"methods": {"/a.B/C": {"scopes": ["a"], "x": {"y": 1, "y": 2}}}}`,
			Faults: []string{`1:42: $.methods["/a.B/C"].x`, `1:56: $.methods["/a.B/C"].x.y`},
		},
		{Name: "no slash", Text: `{"methods": {"a.B/C": {"public": true}}}`, Faults: []string{`1:14: $.methods["a.B/C"]`}},
		{Name: "everything", Text: `{"methods": {"*": {"public": true}}}`, Faults: []string{`1:14: $.methods["*"]`}},
		{Name: "newline in key", Text: `{"methods": {"/a.B/C\n": {"public": true}}}`, Faults: []string{`1:14: $.methods["/a.B/C\n"]`}},
	}
}

// row is a document with one rule, which begins in column 24.
func row(rule string) string { return `{"methods": {"/a.B/C": ` + rule + `}}` }

const path = `$.methods["/a.B/C"]`

func rules() []Document {
	return []Document{
		{Name: "rule of wrong type", Text: row(`"public"`), Faults: []string{"1:24: " + path}},
		{Name: "rule null", Text: row(`null`), Faults: []string{"1:24: " + path}},
		{Name: "no rule", Text: row(`{}`), Faults: []string{"1:24: " + path}},
		{Name: "modifier alone", Text: row(`{"reportOnly": true}`), Faults: []string{"1:24: " + path}},
		{Name: "unknown rule", Text: row(`{"scope": ["a"]}`), Faults: []string{"1:24: " + path, "1:25: " + path + ".scope"}},
		{Name: "rule in other case", Text: row(`{"Public": true}`), Faults: []string{"1:24: " + path, "1:25: " + path + ".Public"}},
		{Name: "unknown modifier", Text: row(`{"public": true, "x": 1}`), Faults: []string{"1:41: " + path + ".x"}},
		{Name: "two rules", Text: row(`{"scopes": ["a"], "clients": ["b"]}`), Faults: []string{"1:42: " + path + ".clients"}},
		{
			Name: "three rules", Text: row(`{"public": true, "scopes": ["a"], "clients": ["b"]}`),
			Faults: []string{"1:41: " + path + ".scopes", "1:58: " + path + ".clients"},
		},
		{Name: "public false", Text: row(`{"public": false}`), Faults: []string{"1:35: " + path + ".public"}},
		{Name: "authenticated 1", Text: row(`{"authenticated": 1}`), Faults: []string{"1:42: " + path + ".authenticated"}},
		{Name: "optional text", Text: row(`{"optional": "true"}`), Faults: []string{"1:37: " + path + ".optional"}},
		{Name: "report only null", Text: row(`{"public": true, "reportOnly": null}`), Faults: []string{"1:55: " + path + ".reportOnly"}},
		{Name: "scopes text", Text: row(`{"scopes": "a"}`), Faults: []string{"1:35: " + path + ".scopes"}},
		{Name: "scopes null", Text: row(`{"scopes": null}`), Faults: []string{"1:35: " + path + ".scopes"}},
		{Name: "no scopes", Text: row(`{"scopes": []}`), Faults: []string{"1:35: " + path + ".scopes"}},
		{Name: "empty scope", Text: row(`{"scopes": ["a", ""]}`), Faults: []string{"1:41: " + path + ".scopes[1]"}},
		{Name: "scopes in one string", Text: row(`{"scopes": ["a b"]}`), Faults: []string{"1:36: " + path + ".scopes[0]"}},
		{Name: "quote in scope", Text: row(`{"scopes": ["a\"", "a\\"]}`), Faults: []string{"1:36: " + path + ".scopes[0]", "1:43: " + path + ".scopes[1]"}},
		{Name: "not ASCII", Text: row(`{"clients": ["ä", "\u007f"]}`), Faults: []string{"1:37: " + path + ".clients[0]", "1:42: " + path + ".clients[1]"}},
		{Name: "scope of wrong type", Text: row(`{"anyScope": ["a", 1, null]}`), Faults: []string{"1:43: " + path + ".anyScope[1]", "1:46: " + path + ".anyScope[2]"}},
		{Name: "permission twice", Text: row(`{"permissions": ["a", "b", "a"]}`), Faults: []string{"1:51: " + path + ".permissions[2]"}},
		{Name: "all of nothing", Text: row(`{"allOf": []}`), Faults: []string{"1:34: " + path + ".allOf"}},
		{Name: "any of an object", Text: row(`{"anyOf": {}}`), Faults: []string{"1:34: " + path + ".anyOf"}},
		{Name: "all of texts", Text: row(`{"allOf": ["a"]}`), Faults: []string{"1:35: " + path + ".allOf[0]"}},
		{Name: "public inside", Text: row(`{"anyOf": [{"public": true}]}`), Faults: []string{"1:36: " + path + ".anyOf[0].public"}},
		{Name: "optional inside", Text: row(`{"anyOf": [{"allOf": [{"optional": true}]}]}`), Faults: []string{"1:47: " + path + ".anyOf[0].allOf[0].optional"}},
		{Name: "streams otherwise", Text: row(`{"public": true, "streams": "sometimes"}`), Faults: []string{"1:52: " + path + ".streams"}},
		{Name: "streams true", Text: row(`{"public": true, "streams": true}`), Faults: []string{"1:52: " + path + ".streams"}},
		{Name: "streams empty", Text: row(`{"public": true, "streams": {}}`), Faults: []string{"1:52: " + path + ".streams"}},
		{Name: "streams run on for", Text: row(`{"public": true, "streams": {"ignoreExpiry": "5m"}}`), Faults: []string{"1:52: " + path + ".streams", "1:53: " + path + ".streams.ignoreExpiry"}},
		{Name: "streams end after and more", Text: row(`{"public": true, "streams": {"endAfter": "5m", "x": 1}}`), Faults: []string{"1:71: " + path + ".streams.x"}},
		{Name: "end after a number", Text: row(`{"public": true, "streams": {"endAfter": 300}}`), Faults: []string{"1:65: " + path + ".streams.endAfter"}},
		{Name: "end after no unit", Text: row(`{"public": true, "streams": {"endAfter": "300"}}`), Faults: []string{"1:65: " + path + ".streams.endAfter"}},
		{Name: "end after less than nothing", Text: row(`{"public": true, "streams": {"endAfter": "-5m"}}`), Faults: []string{"1:65: " + path + ".streams.endAfter"}},
		{Name: "end after nothing", Text: row(`{"public": true, "streams": {"endAfter": "0s"}}`), Faults: []string{"1:65: " + path + ".streams.endAfter"}, SchemaBlind: "how long a duration is"},
		{Name: "end after all time", Text: row(`{"public": true, "streams": {"endAfter": "99999999999h"}}`), Faults: []string{"1:65: " + path + ".streams.endAfter"}, SchemaBlind: "how long a duration is"},
		{Name: "public but bound", Text: row(`{"public": true, "requireDPoP": true}`), Faults: []string{"1:24: " + path}},
		{Name: "public but anonymous", Text: row(`{"public": true, "allowAnonymous": true}`), Faults: []string{"1:24: " + path}},
		{Name: "not delegated false", Text: row(`{"notDelegated": false}`), Faults: []string{"1:41: " + path + ".notDelegated"}},
		{Name: "public but with a certificate", Text: row(`{"public": true, "requireMTLS": true}`), Faults: []string{"1:24: " + path}},
		{Name: "bound not at all", Text: row(`{"scopes": ["a"], "requireDPoP": false}`), Faults: []string{"1:57: " + path + ".requireDPoP"}},
		{
			Name: "modifier inside", Text: row(`{"anyOf": [{"scopes": ["a"], "reportOnly": true}]}`),
			Faults: []string{"1:53: " + path + ".anyOf[0].reportOnly"},
		},
		{
			Name: "all at once", Text: "{\n\t\"methods\": {\n\t\t\"/a.B/C\": {\"scopes\": [\"\"]},\n\t\t\"/a.B/D\": {\"public\": false},\n\t\t\"E\": {}\n\t}\n}",
			Faults: []string{"3:25: " + path + ".scopes[0]", `4:24: $.methods["/a.B/D"].public`, "5:3: $.methods.E", "5:8: $.methods.E"},
		},
	}
}

func messageRules() []Document {
	return []Document{
		{Name: "same of a text", Text: row(`{"authenticated": true, "same": "org_id"}`), Faults: []string{"1:56: " + path + ".same"}},
		{Name: "same of nothing", Text: row(`{"authenticated": true, "same": []}`), Faults: []string{"1:56: " + path + ".same"}},
		{Name: "same of texts", Text: row(`{"authenticated": true, "same": ["org_id"]}`), Faults: []string{"1:57: " + path + ".same[0]"}},
		{Name: "same without a claim", Text: row(`{"authenticated": true, "same": {"field": "a"}}`), Faults: []string{"1:56: " + path + ".same"}},
		{Name: "same without a field", Text: row(`{"authenticated": true, "same": {"claim": "SUBJECT"}}`), Faults: []string{"1:24: " + path}},
		{Name: "same with two claims", Text: row(`{"authenticated": true, "same": {"field": "a", "claim": "SUBJECT", "namedClaim": "b"}}`), Faults: []string{"1:56: " + path + ".same"}},
		{Name: "same with an unknown claim", Text: row(`{"authenticated": true, "same": {"field": "a", "claim": "subject"}}`), Faults: []string{"1:56: " + path + ".same.claim"}},
		{Name: "same with a claim of no party", Text: row(`{"authenticated": true, "same": {"field": "a", "namedClaim": "aud"}}`), Faults: []string{"1:24: " + path}},
		{Name: "same with an unknown member", Text: row(`{"authenticated": true, "same": {"field": "a", "claim": "SUBJECT", "x": 1}}`), Faults: []string{"1:91: " + path + ".same.x"}},
		{Name: "same with a number", Text: row(`{"authenticated": true, "same": {"field": 1, "claim": "SUBJECT"}}`), Faults: []string{"1:66: " + path + ".same.field"}},
		{Name: "same with no field path", Text: row(`{"authenticated": true, "same": {"field": "a..b", "claim": "SUBJECT"}}`), Faults: []string{"1:24: " + path}},
		{Name: "same on public", Text: row(`{"public": true, "same": {"field": "a", "claim": "SUBJECT"}}`), Faults: []string{"1:24: " + path}},
		{Name: "relation on optional", Text: row(`{"optional": true, "relation": {"relation": "viewer", "object": "order:{id}"}}`), Faults: []string{"1:24: " + path}},
		{Name: "same twice", Text: row(`{"authenticated": true, "same": [{"field": "a", "claim": "SUBJECT"}, {"field": "a", "claim": "SUBJECT"}]}`), Faults: []string{"1:24: " + path}},
		{Name: "relation without an object", Text: row(`{"authenticated": true, "relation": {"relation": "viewer"}}`), Faults: []string{"1:24: " + path}},
		{Name: "relation to a userset", Text: row(`{"authenticated": true, "relation": {"relation": "viewer", "object": "order:{id}#owner"}}`), Faults: []string{"1:24: " + path}},
		{Name: "relation with a space", Text: row(`{"authenticated": true, "relation": {"relation": "a b", "object": "order:{id}"}}`), Faults: []string{"1:24: " + path}},
		{Name: "relation with two fields in one", Text: row(`{"authenticated": true, "relation": {"relation": "a", "object": "order:{id}{b}"}}`), Faults: []string{"1:24: " + path}},
		{Name: "nothing to hide", Text: row(`{"authenticated": true, "hideExistence": true}`), Faults: []string{"1:24: " + path}},
		{Name: "same inside", Text: row(`{"anyOf": [{"scopes": ["a"], "same": {"field": "a", "claim": "SUBJECT"}}]}`), Faults: []string{"1:53: " + path + ".anyOf[0].same"}},
	}
}

package auth0grpchttp

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

// Metadata returns a handler for the protected resource metadata of RFC 9728, by which
// clients find the authorization server, the scopes and the bindings. Mount it under the
// path of [auth0grpc.ResourceMetadataURL], without a decision in front:
//
//	mux.Handle("/.well-known/oauth-protected-resource", auth0grpchttp.Metadata(guard))
//
// The document follows the table of guard: see [auth0grpc.NewResourceMetadata]. Each of
// changes may alter it, for example to add a name or to hide scopes. Without
// [auth0grpc.Config.Resource] there is no document, and the status is 404.
//
// The handler answers GET and HEAD, and any origin (CORS). Caches keep the document for
// five minutes, and revalidate it by its ETag.
func Metadata(guard *auth0grpc.Interceptor, changes ...func(*auth0grpc.ResourceMetadata)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document := auth0grpc.NewResourceMetadata(guard)
		header := w.Header()
		header.Set("Access-Control-Allow-Origin", "*")
		switch {
		case document.Resource == "":
			http.NotFound(w, r)
			return
		case r.Method == http.MethodOptions:
			header.Set("Access-Control-Allow-Methods", "GET, HEAD")
			header.Set("Access-Control-Allow-Headers", "*") // clients of MCP add a header
			w.WriteHeader(http.StatusNoContent)
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			header.Set("Allow", "GET, HEAD, OPTIONS")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		for _, change := range changes {
			change(&document)
		}
		body, err := json.Marshal(document)
		if err != nil {
			panic("auth0grpchttp: " + err.Error()) // strings always can be encoded
		}
		sum := sha256.Sum256(body)
		header.Set("Content-Type", "application/json")
		header.Set("Cache-Control", "public, max-age=300")
		header.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:9])+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}

package keyset

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4/json" // exact-case names, no duplicates (hashicorp/cap#191)

	"github.com/auth0grpc/auth0grpc/internal/jwk"
	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/printable"
)

const (
	// maxSameID bounds the keys of one id. RFC 7517, section 4.5, wants ids to
	// be distinct; each duplicate costs another signature check.
	maxSameID = 3
	// maxUnused bounds the unused keys that a refresh lists.
	maxUnused = 32
	// minKeySize is below the size of any usable key, in bytes: an Ed25519 key
	// with a kid of one letter takes 88.
	minKeySize = 80
	// maxShownID bounds the kid of an unused key, in bytes.
	maxShownID = 64
)

var (
	errNotASet  = errors.New("keyset: jwks is not a JSON Web Key Set")
	errNoKeys   = errors.New("keyset: jwks has no usable key")
	errBadKey   = errors.New("keyset: key is not a JSON object with well-typed members")
	errNoKeyID  = errors.New("keyset: key has no kid")
	errSecret   = errors.New("keyset: key has private or symmetric material")
	errKeyUse   = errors.New("keyset: key is not for verifying signatures")
	errKeyAlg   = errors.New("keyset: key's alg is not a signature algorithm of its type")
	errManyKeys = errors.New("keyset: kid has 3 other keys already") // maxSameID
)

// Key is one public key of an issuer. It is immutable.
type Key struct {
	ID     string           // kid, never empty
	Public crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey

	alg  string                   // the JWK's alg, or ""
	last atomic.Pointer[snapshot] // the last one that was made with this key
}

// UnusedKey names a key of a JWK Set that is not used, and why.
type UnusedKey struct {
	// KeyID is the kid, or "" if there is none. It is cut after 64 bytes, and
	// "?" replaces every byte other than printable ASCII.
	KeyID string
	// Reason is one of this package's fixed texts, or of internal/jwk's.
	Reason string
}

// Fits reports whether k can verify signatures of the JWS algorithm alg: the
// key's type must be the algorithm's (RFC 7518, section 3.1, RFC 8037, section
// 3.1), and the JWK's own alg, if it has one, must allow it. It does not decide
// which algorithms are acceptable.
func (k *Key) Fits(alg string) bool {
	if !jws.KeyFits(alg, k.Public) {
		return false
	}
	if k.alg == "" || k.alg == alg {
		return true
	}
	// EdDSA and Ed25519 name the same signature of an Ed25519 key (RFC 9864,
	// section 2.2).
	if _, ok := k.Public.(ed25519.PublicKey); ok {
		return true
	}
	// Auth0 labels its RSA keys RS256 for the whole tenant, also if an API
	// signs with PS256 by the same key. So RS256 does not exclude PS256. This
	// is no algorithm confusion (RFC 8725, section 3.1): the verifier's list
	// must contain the algorithm, the key is of the right type, the hash is
	// the same, and PSS is the stronger padding. The reverse would be a
	// downgrade.
	return k.alg[:2] == "RS" && alg == "PS"+k.alg[2:]
}

// same reports whether k and other are the same key, label included.
func (k *Key) same(other *Key) bool {
	pub, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.ID == other.ID && k.alg == other.alg && pub.Equal(other.Public)
}

// keyList holds the keys of a JWK Set.
type keyList struct {
	keys    []*Key      // the usable ones, in the order of the document
	unused  []UnusedKey // the first of the others
	omitted int         // the others that unused does not list
}

// addUnused records that the key raw is not used because of err.
func (l *keyList) addUnused(raw []byte, err error) {
	if len(l.unused) == maxUnused {
		l.omitted++
		return
	}
	l.unused = append(l.unused, UnusedKey{KeyID: shownID(raw), Reason: err.Error()})
}

// parseSet returns the keys of a JWK Set. RFC 7517, section 5, advises to
// ignore keys that cannot be used, so one bad key spoils only itself. A set
// without a usable key is an error, and comes with its unused keys.
//
// The bound on the document bounds the number of keys. A document of the largest
// size can have 500,000 entries that are no keys; once enough of them are
// listed, they are only counted.
func parseSet(body []byte) (list keyList, err error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return keyList{}, errNotASet
	}
	byID := make(map[string][]*Key)
	for _, raw := range doc.Keys {
		if len(raw) < minKeySize && len(list.unused) == maxUnused {
			list.omitted++
			continue
		}
		k, err := parseKey(raw)
		if err != nil {
			list.addUnused(raw, err)
			continue
		}
		sameID := byID[k.ID]
		if slices.ContainsFunc(sameID, k.same) {
			continue // published twice
		}
		if len(sameID) == maxSameID {
			list.addUnused(raw, errManyKeys)
			continue
		}
		byID[k.ID] = append(sameID, k)
		list.keys = append(list.keys, k)
	}
	if len(list.keys) == 0 {
		return list, errNoKeys
	}
	return list, nil
}

// jwkMembers holds the members of a JWK that are used. An error in any other
// member does not cost the key.
type jwkMembers struct {
	key          jwk.Key
	id, use, alg string
	hasOps       bool
	ops          []string
}

// set decodes the member name, if it is used.
func (m *jwkMembers) set(name string, text json.RawMessage) error {
	switch name {
	case "kty":
		return json.Unmarshal(text, &m.key.Type)
	case "crv":
		return json.Unmarshal(text, &m.key.Curve)
	case "x":
		return json.Unmarshal(text, &m.key.X)
	case "y":
		return json.Unmarshal(text, &m.key.Y)
	case "n":
		return json.Unmarshal(text, &m.key.N)
	case "e":
		return json.Unmarshal(text, &m.key.E)
	case "kid":
		return json.Unmarshal(text, &m.id)
	case "use":
		return json.Unmarshal(text, &m.use)
	case "alg":
		return json.Unmarshal(text, &m.alg)
	case "key_ops":
		m.hasOps = true
		return json.Unmarshal(text, &m.ops)
	}
	return nil
}

// parseKey returns the key that a JWK describes, if it is usable here.
func parseKey(raw []byte) (*Key, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, errBadKey
	}
	// An issuer that publishes private material has lost the key.
	for _, secret := range jwk.SecretMembers {
		if _, ok := members[secret]; ok {
			return nil, errSecret
		}
	}
	var m jwkMembers
	for name, text := range members {
		if m.set(name, text) != nil {
			return nil, errBadKey
		}
	}
	if m.id == "" {
		return nil, errNoKeyID // a token could not select it
	}
	// Both are optional: RFC 7517, sections 4.2 and 4.3.
	if m.use != "" && m.use != "sig" || m.hasOps && !slices.Contains(m.ops, "verify") {
		return nil, errKeyUse
	}
	public, err := m.key.Public()
	if err != nil {
		return nil, err
	}
	if m.alg != "" && !jws.KeyFits(m.alg, public) {
		return nil, errKeyAlg // a key for encryption, or for an unknown algorithm
	}
	return &Key{ID: m.id, Public: public, alg: m.alg}, nil
}

// shownID returns the kid of a JWK in a form that is safe in logs.
func shownID(raw []byte) string {
	var m struct {
		ID string `json:"kid"`
	}
	if json.Unmarshal(raw, &m) != nil {
		return ""
	}
	return printable.Cut(m.ID, maxShownID)
}

package dpop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/auth0grpc/auth0grpc/internal/dpop"
)

// The proofs of RFC 9449 as it prints them.
const (
	rfcHeader = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik" +
		"VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR" +
		"nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE" +
		"QSIsImNydiI6IlAtMjU2In19"
	// Sections 4.1 and 5, for an authorization code.
	rfcTokenRequest = rfcHeader + ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIj" +
		"oiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwia" +
		"WF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg" +
		"4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	// Section 5, for a refresh token.
	rfcRefreshRequest = rfcHeader + ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIj" +
		"oiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwia" +
		"WF0IjoxNTYyMjY1Mjk2fQ.pAqut2IRDm_De6PR93SYmGBPXpwrAk90e8cP2hjiaG5Qs" +
		"GSuKDYW7_X620BxqhvYC8ynrrvZLTk41mSRroapUA"
	// Section 7.1.
	rfcResourceRequest = rfcHeader + ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIj" +
		"oiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z" +
		"WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF" +
		"c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71E" +
		"OptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	rfcAccessToken = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	// Section 6.1.
	rfcThumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
)

// The token requests carry no access token, so Verify refuses them at ath, the
// last check before the key; all the rest of them holds.
func TestRFC9449TokenRequests(t *testing.T) {
	v := dpop.NewVerifier(dpop.Config{})
	for raw, iat := range map[string]int64{rfcTokenRequest: 1562262616, rfcRefreshRequest: 1562265296} {
		_, err := v.Verify(time.Unix(iat, 0), raw, []string{"https://server.example.com/token"}, rfcAccessToken)
		if err == nil || err.Error() != dpop.ErrProof.Error()+": "+badHash {
			t.Errorf("Verify: %v", err)
		}
		thumbprint, id, err := v.Signer(raw)
		if err != nil || thumbprint != rfcThumbprint || id != "-BwC3ESc6acc2lTc" {
			t.Errorf("Signer = %s, %s, %v", thumbprint, id, err)
		}
	}
}

func TestRFC9449ResourceRequest(t *testing.T) {
	v := dpop.NewVerifier(dpop.Config{})
	at := time.Unix(1562262618, 0)
	uris := []string{"https://resource.example.org/protectedresource"}
	p, err := v.VerifyMethod(at, rfcResourceRequest, "GET", uris, rfcAccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if p.Thumbprint != rfcThumbprint || p.ID != "e1j3V_bKic8-LAEB" || !p.IssuedAt.Equal(at) {
		t.Errorf("proof %+v", p)
	}
	// A gRPC call is never a GET.
	if _, err := v.Verify(at, rfcResourceRequest, uris, rfcAccessToken); err == nil {
		t.Error("Verify accepts the proof of a GET")
	}
}

// RFC 7638, section 3.1.
func TestThumbprintExample(t *testing.T) {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON([]byte(`{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`)); err != nil {
		t.Fatal(err)
	}
	if got, err := dpop.Thumbprint(key.Key); err != nil || got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("Thumbprint = %s, %v", got, err)
	}
}

func thumbprintByJose(t testing.TB, public crypto.PublicKey) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

func TestThumbprint(t *testing.T) {
	for name, key := range keys() {
		got, err := dpop.Thumbprint(key.Public())
		if want := thumbprintByJose(t, key.Public()); err != nil || got != want {
			t.Errorf("%s: Thumbprint = %s, %v; go-jose says %s", name, got, err, want)
		}
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	offCurve := *keys()["P-256"].Public().(*ecdsa.PublicKey)
	offCurve.Curve = elliptic.P384()
	for name, key := range map[string]crypto.PublicKey{
		"P-224": p224.Public(), "off its curve": &offCurve, "secret": []byte("secret"), "private": keys()["P-256"], "nil": nil,
	} {
		if got, err := dpop.Thumbprint(key); err == nil {
			t.Errorf("%s: Thumbprint = %s", name, got)
		}
	}
}

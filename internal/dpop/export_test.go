package dpop

import (
	"time"
)

// VerifyMethod is Verify for another method: RFC 9449's resource request is a GET.
func (v *Verifier) VerifyMethod(now time.Time, proof, method string, uris []string, accessToken string) (*Proof, error) {
	return v.verify(now, proof, method, uris, accessToken)
}

// Signer is the part of Verify that asks nothing of the claims: RFC 9449's token
// request has no access token to hash.
func (v *Verifier) Signer(proof string) (thumbprint, id string, err error) {
	token, err := v.parse(proof)
	if err != nil {
		return "", "", err
	}
	c, err := parseClaims(token.Payload)
	if err != nil {
		return "", "", err
	}
	thumbprint, err = signer(token)
	return thumbprint, c.jti, err
}

// Live is the number of records that m holds, counted one by one.
func (m *Memory) Live() (n int) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += len(s.used)
		if len(s.heap) != len(s.used) {
			panic("heap and map differ")
		}
		s.mu.Unlock()
	}
	return n
}

package dpop

import (
	"time"
)

// Verify makes all checks of a proof, for the key that the proof itself contains.
func (v *Verifier) Verify(now time.Time, proof string, uris []string, accessToken string) (*Proof, error) {
	return v.VerifyMethod(now, proof, "POST", uris, accessToken)
}

// VerifyMethod is Verify for another method: RFC 9449's resource request is a GET.
func (v *Verifier) VerifyMethod(now time.Time, proof, method string, uris []string, accessToken string) (*Proof, error) {
	thumbprint, _, _ := v.Signer(proof)
	c, err := v.Precheck(now, proof, Request{method, uris, accessToken, thumbprint})
	if err != nil {
		return nil, err
	}
	return c.Verify()
}

// Signer makes the checks that do not depend on the values of the claims: RFC
// 9449's token request has no access token to hash.
func (v *Verifier) Signer(proof string) (thumbprint, id string, err error) {
	token, err := v.parse(proof)
	if err != nil {
		return "", "", err
	}
	c, err := parseClaims(token.Payload)
	if err != nil {
		return "", "", err
	}
	key, thumbprint, err := keyOf(token)
	if err == nil && token.Verify(key) != nil {
		err = errSignature
	}
	return thumbprint, c.jti, err
}

// Live is the number of records that m holds, counted one by one.
func (m *ReplayMemory) Live() (n int) {
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

// Held is the number of records that the shard of id has memory for.
func (m *ReplayMemory) Held(id string) int {
	_, s := m.shardFor(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return cap(s.heap)
}

// ShardOf returns which of the shards holds id.
func (m *ReplayMemory) ShardOf(id string) int {
	_, s := m.shardFor(id)
	for i := range m.shards {
		if s == &m.shards[i] {
			return i
		}
	}
	return -1
}

// Owners returns how many keys m counts proofs for.
func (m *ReplayMemory) Owners() (n int) {
	for i := range m.shares {
		m.shares[i].mu.Lock()
		n += len(m.shares[i].counts)
		m.shares[i].mu.Unlock()
	}
	return n
}

// ShareOf returns which of the shares counts the proofs of the key of id.
func (m *ReplayMemory) ShareOf(id string) int { return int(m.ownerOf(id) % shards) }

// MostOwners is the number of keys that the share of id has memory for.
func (m *ReplayMemory) MostOwners(id string) int {
	s := &m.shares[m.ShareOf(id)]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

package suite

import (
	"testing"
	"time"
)

// Each measurement of growth counts its work.
func TestGrowth(t *testing.T) {
	s := newSuite(t)
	revoked, err := s.Revoke(revocations + 10)
	if err != nil || revoked.Revoke <= 0 || revoked.Quiet <= 0 || revoked.Burst <= 0 {
		t.Errorf("Revoke: %+v, %v", revoked, err)
	}
	expired, err := s.ExpireTogether(100)
	if err != nil || expired.All <= 0 || expired.Slowest <= 0 {
		t.Errorf("ExpireTogether: %+v, %v", expired, err)
	}
	list, err := s.RevocationList(1000)
	if err != nil || list.Bytes <= 0 || list.Call <= 0 || list.Slowest <= 0 {
		t.Errorf("RevocationList: %+v, %v", list, err)
	}
	names, err := s.RuleNames([]int{1, 10})
	if err != nil || len(names) != 2 || names[1].Names != 10 || names[0].Call == time.Hour {
		t.Errorf("RuleNames: %+v, %v", names, err)
	}
	table, err := s.SetMethods(100)
	if err != nil || table.Set <= 0 {
		t.Errorf("SetMethods: %+v, %v", table, err)
	}
}

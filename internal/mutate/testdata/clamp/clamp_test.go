package clamp

import "testing"

func TestClamp(t *testing.T) {
	for _, test := range []struct{ n, want int }{{-1, 0}, {0, 0}, {5, 5}, {11, 10}} {
		if got, same := Clamp(test.n, 10); got != test.want || same != (test.n == test.want) {
			t.Errorf("Clamp(%d) = %d, %v", test.n, got, same)
		}
	}
}

package policy

// CheckRoundTrip is for tests of a guard that no public function reaches.
var CheckRoundTrip = checkRoundTrip

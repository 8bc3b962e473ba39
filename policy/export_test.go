package policy

// ReadsBack is for tests of a guard that no public function reaches.
var ReadsBack = readsBack

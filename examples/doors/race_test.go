//go:build race

package main

// The race detector makes calls ten times slower, so each pair of token and door is left
// to the run without it. Every token and every door remain.
func init() { stride = 5 }

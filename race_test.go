//go:build race

package main

// The race detector looks at memory for each access of the program's, so what is
// measured under it is its own.
const raceDetector = true

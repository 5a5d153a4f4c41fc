//go:build unix

package stdio

import (
	"os"
	"testing"
)

// TestMain lets the test binary be what the tests start: a child that plays a role.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	// A process built with -race otherwise stays for a second when it has ended, which is just what
	// the tests measure.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}

//go:build unix

package stdio

import (
	"os"
	"testing"
)

// TestMain lets the test binary be what the tests start: a guard, or a child that plays a role.
func TestMain(m *testing.M) {
	if GuardMain() {
		return
	}
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

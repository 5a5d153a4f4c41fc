package uplink

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSearchIsReadAsItWasWritten(t *testing.T) {
	at := time.Date(2026, 11, 22, 1, 2, 3, 4, time.FixedZone("", 3600))
	for name, want := range map[string]Search{
		"nothing": {},
		"all": {Server: "fs@1a", Target: "a&b=c\x00d +%", Decision: "deny", Principal: "ann", Kind: "integrity",
			Outcome: "failed", Client: "c", Method: "tools/call", Rule: "deny_tools: x", Host: "h", User: "u", Trace: "0af7", Shadowed: true,
			Since: at, Until: at.Add(time.Hour), Limit: 7, Before: "1.2"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseSearch(want.values().Encode())
			if err != nil || !cmp.Equal(got, want) { // times by Equal
				t.Errorf("%v\n%s", err, cmp.Diff(want, got))
			}
		})
	}
}

func TestSearchesThatAreRefused(t *testing.T) {
	for name, query := range map[string]string{
		"unknown":    "servers=fs",
		"case":       "Server=fs",
		"twice":      "server=fs&server=git",
		"no time":    "since=7d",
		"no number":  "limit=all",
		"zero":       "limit=0",
		"too many":   "limit=1001",
		"bad escape": "server=%zz",
		"shadowed 0": "shadowed=false",
		"semicolon":  "server=a;kind=b",
	} {
		if got, err := ParseSearch(query); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

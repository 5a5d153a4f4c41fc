package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/integrity/audit"
)

func ok(format string, args ...any) finding {
	return finding{Severity: wellFound, What: fmt.Sprintf(format, args...)}
}

// checks lists what the doctor looks at, in the order in which one would mend it.
func (a *app) checks() []check {
	return []check{
		{"configuration", a.checkConfig},
		{"audit log", a.checkAudit},
		{"pins", a.checkPins},
		{"hub", a.checkHub},
		{"rules of the hub", a.checkBundles},
		{"clients", a.checkClients},
		{"servers", a.checkServers},
	}
}

func (a *app) checkConfig(context.Context) []finding {
	c, err := a.loadConfig()
	if bad, isProblems := errors.AsType[*configError](err); isProblems {
		var found []finding
		for _, p := range bad.Problems {
			found = append(found, finding{Severity: problemFound, What: p.text(bad.File), Fix: "until the file is right, nothing that uses it starts"})
		}
		return found
	}
	if err != nil {
		return []finding{{Severity: problemFound, What: err.Error()}}
	}
	if c.Path == "" {
		return []finding{ok("there is no configuration file: servers run without rules, under pins and audit log")}
	}
	found := []finding{ok("%s, %s", count(len(c.Servers), "server"), count(c.rules(), "rule"))}
	found[0].Where = c.Path
	if shadowed := c.shadowed(); len(shadowed) > 0 {
		found = append(found, finding{Severity: noteFound, What: "in shadow mode, so that nothing is denied by their policies: " + few(shadowed),
			Where: c.Path, Fix: "mcpx audit query --shadowed shows what they would have denied; mode: enforce ends it"})
	}
	if c.Inspection.ToolIntegrity == "off" {
		found = append(found, finding{Severity: noteFound, What: "tool integrity is off: a server may change its tools unseen", Fix: "inspection.tool_integrity: enforce"})
	}
	if runtime.GOOS != "windows" {
		if info, err := os.Stat(c.Path); err == nil && info.Mode().Perm()&0o022 != 0 {
			found = append(found, finding{Severity: problemFound, What: "others may change the configuration", Where: c.Path, Fix: "chmod go-w " + c.Path})
		}
	}
	return found
}

// maxDoctorLog bounds the audit log that is verified in passing, in bytes.
const maxDoctorLog = 64 << 20

func (a *app) checkAudit(context.Context) []finding {
	c, err := a.loadConfig()
	if err != nil {
		return nil // said already
	}
	switch {
	case c.Audit.Enabled != nil && !*c.Audit.Enabled:
		return []finding{{Severity: noteFound, What: "auditing is off: nothing is recorded, and a hub gets no events", Fix: "audit.enabled: true"}}
	case c.Audit.Output != "" && c.Audit.Output != "file":
		return []finding{{Severity: noteFound, What: "the audit log goes to " + c.Audit.Output + ": a hub gets no events", Fix: "audit.output: file"}}
	}
	path, err := a.auditPath()
	if err != nil {
		return []finding{{Severity: problemFound, What: err.Error()}}
	}
	if err := writable(path); err != nil {
		return []finding{{Severity: problemFound, What: "the audit log cannot be written: " + err.Error(), Where: path, Fix: "give it to the user that mcpx runs as, or name another with audit.path"}}
	}
	size := sizeOf(path)
	switch {
	case size < 0:
		return []finding{{Severity: wellFound, What: "nothing is recorded yet", Where: path}}
	case size > maxDoctorLog:
		return []finding{{Severity: noteFound, What: fmt.Sprintf("the audit log has %d MB and was not verified here", size/1e6), Where: path, Fix: "mcpx audit verify"}}
	}
	heads, err := statePath(headsName)
	if err != nil {
		return []finding{{Severity: problemFound, What: err.Error()}}
	}
	result, err := audit.Verify(heads, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []finding{{Severity: wellFound, What: "nothing is recorded yet", Where: path}}
	case err != nil:
		return []finding{{Severity: problemFound, What: err.Error(), Where: path}}
	case !result.Intact():
		return []finding{{Severity: problemFound, What: fmt.Sprintf("the audit log is not what was written: %s, the first: %s", count(len(result.Problems), "problem"), result.Problems[0]), Where: path, Fix: "mcpx audit verify"}}
	}
	sound := ok("%s in %s, intact", count(result.Events, "event"), count(len(result.Chains), "chain"))
	sound.Where = path
	return append([]finding{sound}, a.waiting(c, path)...)
}

// settled is how old a file must be before it is strange that a hub does not have all of it.
const settled = 10 * time.Minute

// waiting tells what hubs do not have yet, and by that whether anybody still sends it.
func (a *app) waiting(c *config, path string) []finding {
	chains, err := audit.Waiting(path)
	if err != nil {
		return []finding{{Severity: problemFound, What: err.Error(), Where: path}}
	}
	current := ""
	if t, err := a.hubFor(c, ""); err == nil {
		current = t.Destination
	}
	type sum struct {
		chains int
		bytes  int64
		since  time.Time
	}
	hubs := map[string]*sum{}
	for _, w := range chains {
		if w.Hub == current && time.Since(w.Since) < settled {
			continue
		}
		h := hubs[w.Hub]
		if h == nil {
			h = &sum{since: w.Since}
			hubs[w.Hub] = h
		}
		h.chains++
		h.bytes += w.Bytes
		if w.Since.Before(h.since) {
			h.since = w.Since
		}
	}
	var found []finding
	for _, hub := range slices.Sorted(maps.Keys(hubs)) {
		h := hubs[hub]
		f := finding{Severity: noteFound, Where: path, Fix: "they are sent when the hub answers and a wrapper runs",
			What: fmt.Sprintf("events wait for the hub %s: %s, %d kB in all, the oldest file of %s", cmp.Or(hub, audit.LocalHub), count(h.chains, "chain"), (h.bytes+999)/1000, day(h.since))}
		if hub != current && hub != audit.LocalHub {
			f.Severity, f.Fix = problemFound, fmt.Sprintf("wrappers here belong to another hub, so nobody sends them: run one with --hub %s, or log in there again", hub)
		}
		found = append(found, f)
	}
	return found
}

// writable tries whether events can be added to a log, without leaving anything behind.
func writable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		parent := filepath.Dir(filepath.Clean(path))
		if parent == filepath.Clean(path) {
			return err
		}
		return writable(parent)
	case err != nil:
		return err
	case info.IsDir():
		probe, err := os.CreateTemp(path, ".doctor-*")
		if err != nil {
			return err
		}
		return errors.Join(probe.Close(), os.Remove(probe.Name()))
	default:
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		return file.Close()
	}
}

// sizeOf sums the files of a log, in bytes; -1 where there is none.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	if !info.IsDir() {
		return info.Size()
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return -1
	}
	var sum int64
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

func (a *app) checkPins(context.Context) []finding {
	if _, err := a.loadConfig(); err != nil {
		return nil // said already
	}
	path, err := a.lockPath()
	if err != nil {
		return []finding{{Severity: problemFound, What: err.Error()}}
	}
	file, err := integrity.Open(path)
	if err != nil {
		return []finding{{Severity: problemFound, What: err.Error(), Where: path, Fix: "mend the file, or take it from version control"}}
	}
	var found []finding
	if err := writable(filepath.Dir(path)); err != nil {
		severity := problemFound
		if len(file.Servers()) > 0 { // it may be so on purpose
			severity = noteFound
		}
		found = append(found, finding{
			Severity: severity, Where: path,
			What: "nothing can be pinned, so a server that is not pinned yet is refused: " + err.Error(),
			Fix:  "give the folder to the user that mcpx runs as, or have everything pinned there by who may write to it: mcpx pins approve SERVER --all -- COMMAND",
		})
	}
	pinned := 0
	for _, name := range file.Servers() {
		server := integrity.Visible(name)
		var waiting []string
		for _, e := range file.Entries(name) {
			if e.Status == integrity.Same {
				pinned++
				continue
			}
			waiting = append(waiting, fmt.Sprintf("%s: %s", e.Target, pinState(e)))
		}
		if len(waiting) > 0 {
			found = append(found, finding{
				Severity: problemFound, Where: path,
				What: server + ": " + few(waiting),
				Fix:  fmt.Sprintf("mcpx pins diff %s, then mcpx pins approve %s", server, server),
			})
		}
	}
	if len(found) == 0 {
		found = append(found, finding{Severity: wellFound, What: count(pinned, "definition") + " pinned, nothing waits for review", Where: path})
	}
	return found
}

// few lists names, but not a crowd of them.
func few(names []string) string {
	const most = 5
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

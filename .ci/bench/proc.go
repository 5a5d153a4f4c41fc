package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// private returns the memory of a process that is its own, in bytes: what stays of it if all others that run the same program
// are taken for granted.
func private(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d says nothing of RssAnon", pid)
}

// ran returns how long the threads of a process ran so far, and how often one of them was put on a CPU.
func ran(pid int) (cpu time.Duration, times int64, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, 0, fmt.Errorf("process %d says nothing of its threads", pid)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		var ns, waited, n int64
		if _, err := fmt.Sscan(string(data), &ns, &waited, &n); err != nil {
			return 0, 0, err
		}
		cpu, times = cpu+time.Duration(ns), times+n
	}
	return cpu, times, nil
}

package guard

import (
	"os"
	"strconv"
)

// descendants lists the live processes below root.
func descendants(root int) []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1)
	children := map[int][]int{}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if stat, err := os.ReadFile("/proc/" + name + "/stat"); err == nil {
				if parent, ok := parentOf(stat); ok {
					children[parent] = append(children[parent], pid)
				}
			}
		}
	}
	var found []int
	for next := children[root]; len(next) > 0; {
		pid := next[0]
		next = append(next[1:], children[pid]...)
		found = append(found, pid)
	}
	return found
}

// parentOf finds the parent in what /proc/PID/stat says: "pid (name) state parent …". The name may hold anything, also
// parentheses and spaces. It counts the dead too, until they are reaped: their children are found by it.
func parentOf(stat []byte) (pid int, ok bool) {
	end := len(stat) - 1
	for end >= 0 && stat[end] != ')' {
		end--
	}
	from := end + len(") S ")
	if end < 0 || from >= len(stat) || stat[end+1] != ' ' || stat[end+3] != ' ' {
		return 0, false
	}
	to := from
	for to < len(stat) && stat[to] != ' ' {
		to++
	}
	pid, err := strconv.Atoi(string(stat[from:to]))
	return pid, err == nil
}

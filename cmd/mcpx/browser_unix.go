//go:build unix

package main

import (
	"os"
	"runtime"
)

// screenless reports whether a browser that is started here would show nothing to this user.
func screenless() bool {
	return overSSH() || runtime.GOOS != "darwin" && os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == ""
}

func browserCommand(address string) (name string, args []string) {
	if runtime.GOOS == "darwin" {
		return "open", []string{address}
	}
	return "xdg-open", []string{address}
}

//go:build unix

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

// longestSocket is how many bytes of path the address of a Unix socket holds, the NUL at its end left out.
const longestSocket = 103

// runtimeDir gives the folder for what lives as long as its user is logged in, "" where the system has none. Its variable is
// missing where a program was started by other means than a login; the folder is there all the same.
func runtimeDir() string {
	if folder := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(folder) {
		return folder
	}
	if runtime.GOOS != "linux" || os.Getenv("XDG_RUNTIME_DIR") != "" {
		return ""
	}
	folder := filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return ""
	}
	return folder
}

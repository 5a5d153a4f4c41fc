package main

// screenless reports whether a browser that is started here would show nothing to this user.
func screenless() bool { return overSSH() }

// browserCommand goes by the shell's handler for addresses, not by cmd.exe, which would read & and % in them.
func browserCommand(address string) (name string, args []string) {
	return "rundll32.exe", []string{"url.dll,FileProtocolHandler", address}
}

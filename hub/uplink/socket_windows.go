package uplink

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/windows"
)

// ownSocket: a hub on Windows listens on a port of this machine, with a token; nobody could tell whose a socket is.
func ownSocket(string) error {
	return errors.New("a hub on Windows has no socket: connect to its URL")
}

func connectionRefused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }

// readableByOthers: on Windows the folder's access list decides, which a mode does not show.
func readableByOthers(fs.FileMode) bool { return false }

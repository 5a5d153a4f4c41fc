package hub

import (
	"errors"
	"net"
)

// ListenSocket is not for Windows, where a hub listens on a loopback address with a token for this user ([Options.LocalToken]).
func ListenSocket(string) (net.Listener, error) {
	return nil, errors.New("the hub's own socket is a Unix socket, which Windows has no use for")
}

package uplink

import (
	"errors"
	"fmt"
	"net"
)

// CheckPeer reports an error unless the process at the other end of a connection over a Unix socket is one of the user with
// this id. Where the system does not tell, and for other connections, there is nothing to find out: nil.
func CheckPeer(conn net.Conn, uid int) error {
	over, ok := conn.(*net.UnixConn)
	if !ok || !canTellPeer {
		return nil
	}
	raw, err := over.SyscallConn()
	if err != nil {
		return fmt.Errorf("find out who is at the other end of the socket: %w", err)
	}
	var peer uint32
	var asked error
	if err := errors.Join(raw.Control(func(fd uintptr) { peer, asked = peerUser(int(fd)) }), asked); err != nil {
		return fmt.Errorf("find out who is at the other end of the socket: %w", err)
	}
	if int64(peer) != int64(uid) {
		return errors.New("a process of another user is at the other end of the socket")
	}
	return nil
}

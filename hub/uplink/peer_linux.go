package uplink

import "golang.org/x/sys/unix"

// peerUser returns the user who listens, or who dialled, at the other end of a Unix socket.
func peerUser(fd int) (uint32, error) {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return peer.Uid, nil
}

const canTellPeer = true

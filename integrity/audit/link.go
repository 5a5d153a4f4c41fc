package audit

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// LinkInfo is what is known of a link before its first message.
type LinkInfo struct {
	Server string // its name in the configuration
	Client string // the principal
}

// A Link appends events to its log that share a server, a client and a session.
type Link struct {
	log     *Log
	info    LinkInfo
	session string

	// Guarded by log.mu.
	members  []byte // the link's own members but for era, as they are written
	era      string // of events that name none
	ready    []byte // what all events of readyEra share, as it is written; nil: to be made
	readyEra string
}

// Link starts a link with a session id of its own. The log must outlive it.
func (l *Log) Link(info LinkInfo) *Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := &Link{log: l, info: info, session: string(l.clock.appendID(nil, l.clock.now()))}
	k.members = k.appendMembers(nil, nil, nil)
	return k
}

// Session returns the UUID that all events of the link carry.
func (k *Link) Session() string { return k.session }

// SetPeers makes known what the peers said of themselves: their clientInfo and serverInfo as raw JSON, either of which
// may be empty, and the protocol era. Later events carry it.
func (k *Link) SetPeers(clientInfo, serverInfo []byte, era string) {
	members := k.appendMembers(nil, clientInfo, serverInfo)
	k.log.mu.Lock()
	defer k.log.mu.Unlock()
	k.members, k.era, k.ready = members, era, nil
}

// shared returns what all events of the link and an era share. The caller holds log.mu.
func (k *Link) shared(era string) []byte {
	if era == "" {
		era = k.era
	}
	if k.ready == nil || k.readyEra != era {
		k.ready = appendMember(slices.Concat(k.log.members, k.members), `,"era":`, era, maxName)
		k.readyEra = era
	}
	return k.ready
}

func (k *Link) appendMembers(b, clientInfo, serverInfo []byte) []byte {
	b = appendMember(b, `,"server":`, k.info.Server, maxName)
	b = appendMember(b, `,"client":`, k.info.Client, maxName)
	b = appendInfo(b, `,"client_info":`, clientInfo)
	b = appendInfo(b, `,"server_info":`, serverInfo)
	return appendMember(b, `,"session":`, k.session, maxName)
}

// maxInfo is the longest clientInfo or serverInfo that every event of a link repeats, in bytes.
const maxInfo = 512

// appendInfo appends what a peer says of itself: as it is if it is small, else what identifies the peer, else as text.
func appendInfo(b []byte, name string, raw []byte) []byte {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return b
	}
	b = append(b, name...)
	if len(raw) <= maxInfo && raw[0] == '{' && isJSON(raw) {
		return append(b, raw...)
	}
	short, err := identity(raw)
	if err != nil {
		return appendText(b, raw, maxInfo)
	}
	return append(b, short...)
}

// identity returns the name, title and version out of an object, and that it was cut.
func identity(raw []byte) ([]byte, error) {
	out := []byte(`{"cut":true`)
	err := members(raw, func(name string, value jsontext.Value) error {
		switch name {
		case "name", "title", "version":
			text, err := unquote(value)
			out = appendText(append(out, `,"`+name+`":`...), text, 128)
			return err
		}
		return nil
	})
	return append(out, '}'), err
}

// Append stages e. It never waits for the disk and is safe for concurrent use; e is recorded when Commit returns.
func (k *Link) Append(e *Event) { k.log.stage(k, e) }

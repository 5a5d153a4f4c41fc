package policy

import "bytes"

// ServerInfo returns what the server called itself last, raw JSON; nil if it has not said anything yet. The caller may keep it.
func (c *Census) ServerInfo() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.infos[1] != nil {
		return bytes.Clone(c.infos[1])
	}
	return bytes.Clone(c.infos[0])
}

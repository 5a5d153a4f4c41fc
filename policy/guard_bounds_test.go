package policy_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/policy"
)

// A server that asks and asks fills nothing: what its client has not answered is bounded, and an answer makes room.
func TestServerAsksWithoutEnd(t *testing.T) {
	l := newLink(t, policy.Config{}, integrity.Config{ToolIntegrity: "off"})
	l.say(l.g.FromClient, initialize)
	l.say(l.g.FromServer, initialized)
	ask := func(id int) (delivered bool) {
		toClient, toServer := l.say(l.g.FromServer, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"roots/list"}`, id))
		if (toClient == "") == (toServer == "") {
			t.Fatalf("request %d: %q to the client, %q to the server", id, toClient, toServer)
		}
		return toClient != ""
	}
	id := 1
	for ; ask(id); id++ {
		if id > 10_000 {
			t.Fatal("there is no limit")
		}
	}
	if id < 100 {
		t.Errorf("no more than %d requests were delivered", id)
	}
	l.say(l.g.FromClient, `{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}`)
	if !ask(id + 1) {
		t.Error("an answer makes no room")
	}
}

// What peers say of themselves may be as long as a message, icons and all. A link does not keep that for as long as it is open.
func TestLongIntroductionIsNotKept(t *testing.T) {
	const links, length = 32, 1 << 20
	icon := strings.Repeat("x", length)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	var all []*link
	for range links {
		l := newLink(t, policy.Config{}, integrity.Config{ToolIntegrity: "off"})
		l.say(l.g.FromClient, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"clientInfo":{"name":"long","icon":"`+icon+`"}}}`)
		l.say(l.g.FromServer, `{"jsonrpc":"2.0","id":0,"result":{"serverInfo":{"name":"server","version":"2"}}}`)
		l.say(l.g.FromClient, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		all = append(all, l)
	}
	if grown := heap() - before; grown > links*length/2 {
		t.Errorf("%d links with introductions of %d bytes keep %d bytes", links, length, grown)
	}
	if text := all[0].rec.String(); !strings.Contains(text, `"client_info":{"name":"long"}`) || !strings.Contains(text, `"name":"server","version":"2"`) {
		t.Errorf("the record does not say who they are: %.2000s", text)
	}
	runtime.KeepAlive(all)
}

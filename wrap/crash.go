package wrap

import (
	"strconv"

	"github.com/rohitgs28/mcpx/transport/jsonrpc"
	"github.com/rohitgs28/mcpx/transport/stdio"
)

// crash is what the audit log keeps of a server's end that was no orderly one.
func crash(exit stdio.Exit, stderr []byte) []byte {
	b := append([]byte(nil), `{"exit_code":`...)
	b = strconv.AppendInt(b, int64(exit.Code), 10)
	b = append(b, `,"stderr":`...)
	return append(jsonrpc.AppendString(b, stderr), '}')
}

package hub

import (
	"testing"
	"testing/synctest"

	"github.com/rohitgs28/mcpx/transport"
	"github.com/rohitgs28/mcpx/transport/jsonrpc"
)

// A call into which a trace context was written is shared like any other: its id and token are the child's, its context stays.
func TestTracedCallIsShared(t *testing.T) {
	onStage(t, muxOptions{Shared: true}, func(s *stage) {
		const call = `{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"a","_meta":{"progressToken":"p","tracestate":"a=1"}}}`
		m := message(s, call).WithTraceContext(jsonrpc.TraceContext{Traceparent: []byte("00-a-b-01"), Tracestate: []byte("b=22")})
		var answer string
		ended := make(chan error, 1)
		l := s.join()
		go func() {
			ended <- s.mux.call(s.Context(), l, m, func(a transport.Arrival) error {
				answer = string(a.Message.Raw)
				return nil
			})
		}()
		synctest.Wait()
		s.wants("server", s.server.heard,
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"traceparent":"00-a-b-01","progressToken":1,"tracestate":"b=22"}}}`)
		s.server.say(`{"jsonrpc":"2.0","id":1,"result":{}}`)
		if err := <-ended; err != nil || answer != `{"jsonrpc":"2.0","id":"x","result":{}}` {
			s.Errorf("answer %s, %v", answer, err)
		}
	})
}

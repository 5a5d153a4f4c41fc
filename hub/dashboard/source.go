package dashboard

import (
	"context"
	"errors"
	"time"
)

// A Source is what the pages show. Its methods are safe for concurrent use; each answers within the context's deadline. Texts in
// what it returns are as they came from outside.
type Source interface {
	Overview(ctx context.Context, span Span) (Overview, error)
	Fleet(ctx context.Context) (Fleet, error)
	Server(ctx context.Context, name string, span Span) (Server, error)             // ErrNotFound
	Tool(ctx context.Context, server, tool string, span Span) (Tool, error)         // ErrNotFound
	Search(ctx context.Context, q Query) (Found, error)                             // ErrInvalid
	Event(ctx context.Context, principal, chain string, seq uint64) (Detail, error) // ErrNotFound
	Pins(ctx context.Context, server string) ([]PinServer, error)                   // of all servers with ""
	Approve(ctx context.Context, who string, server string, items []PinRef) error   // ErrNotFound, ErrInvalid
	Chains(ctx context.Context) (Chains, error)

	// Live calls tick about four times a second, with what has arrived since, as long as ctx lives and there is something new; at
	// least every 15 s it calls it all the same. It returns when ctx ends or tick fails. Who reads slowly misses events, which are
	// counted, and holds nobody up.
	Live(ctx context.Context, tick func(Tick) error) error
}

// Errors of a Source that a page tells apart.
var (
	ErrNotFound = errors.New("not found")
	ErrInvalid  = errors.New("not valid") // its text is for the person who asked
)

// A Span is a span of time in steps of equal length, for plots and sums.
type Span struct {
	Since, Until time.Time // Until is exclusive
	Step         time.Duration
}

// Counts are sums over a span.
type Counts struct {
	Calls    int64 // decisions about tools/call
	Denied   int64 // of these
	Shadowed int64 // of these: what a policy in shadow mode would have denied
	Errors   int64 // outcomes of calls that were not ok: tool_error, error, timeout, dropped
	Requests int64 // decisions about anything, calls among them
}

// Latency are percentiles of how long calls took, in a span or a step. Zero N: there were none.
type Latency struct {
	N             int64
	P50, P95, P99 time.Duration
}

// A Point is one step of a series.
type Point struct {
	At time.Time // its beginning
	Counts
	Latency Latency
}

// An Overview is the first page.
type Overview struct {
	Span           Span
	Total          Counts
	Latency        Latency
	Series         []Point // every step, also those with nothing
	Servers        []ServerRow
	Recent         []Event // the newest, newest first
	WrappersAlive  int
	Wrappers       int
	Events         int64 // in the store
	ChainProblems  int64
	PendingReviews int // definitions that differ from what is approved, or wait for a first approval
}

// A ServerRow is a server in a table.
type ServerRow struct {
	Name    string
	Gateway bool // the hub serves it under /mcp/
	Mode    string
	Counts
	Latency Latency
	Last    time.Time // of the last event; zero: unknown
}

// A Server is the page of one server.
type Server struct {
	ServerRow
	Span     Span
	Series   []Point
	Tools    []ToolRow
	Wrappers []Wrapper
	Denied   []Event // the latest denials, newest first
}

// A ToolRow is a tool in a table. Other: it stands for all tools beyond those that are counted by name.
type ToolRow struct {
	Name  string
	Other bool
	Counts
	Latency Latency
	Last    time.Time
}

// A Tool is the page of one tool.
type Tool struct {
	Server string
	ToolRow
	Span   Span
	Series []Point
	Recent []Event
}

// A Fleet is all wrappers that the hub knows, and the servers that it serves itself.
type Fleet struct {
	Wrappers []Wrapper
	Gateway  []GatewayServer
}

// A Wrapper is one `mcpx wrap` that runs or ran somewhere.
type Wrapper struct {
	Principal, Host, User, Server, Instance string
	Version                                 string // of mcpx
	Client, ClientVersion                   string // the MCP client, as it calls itself
	ServerName, ServerVersion               string // the MCP server, as it calls itself
	PID                                     int
	Started, Seen                           time.Time
	Alive, Ended                            bool
	Serial                                  int64 // of the rules in effect; 0: none
	Pending                                 uint64
	Problems                                []string
}

// A GatewayServer is a server that the hub itself serves.
type GatewayServer struct {
	Name      string
	Transport string
	Breaker   string // closed, open, half-open; "": none
	Mode      string // enforce or shadow
}

// An Event is one line of the record.
type Event struct {
	Principal, Chain                           string
	Seq                                        uint64
	Time                                       time.Time
	Source, Host, User                         string
	Server, Client, Kind, Method               string
	ClientName                                 string // as the MCP client calls itself; Client is who it is to a hub that it has logged in to
	Target, Decision, Rule, Reason, Outcome    string
	Shadow                                     bool // allowed, but would have been denied
	Latency                                    time.Duration
	HasLatency                                 bool
	RequestID, Session, TraceID                string
	Flaw                                       string // what is wrong with its place in the chain
	BytesIn, BytesOut                          int64
	ClientInfo, ServerInfo, Args, Era, EventID string // the first three raw JSON
}

// A Detail is the page of one event.
type Detail struct {
	Event
	Line     string // to the byte as it was written
	Hash     string // of Line: what the next event of the chain names as prev
	Prev     string
	Related  []Event // of the same request: its decision and its outcome
	Previous bool    // there is an event before it in the chain
	Next     bool
}

// A Query says which events are wanted: those that agree with all that is set, texts exactly.
type Query struct {
	Server, Target, Principal, Client, Method, Rule, Host, TraceID string
	Decision, Outcome, Kind                                        string // of their fixed words; Outcome also "failed": any but ok and denied
	Since, Until                                                   time.Time
	Before                                                         string // Found.Next of the page before
	Limit                                                          int    // 0: 50
}

// Found is a page of events, newest first.
type Found struct {
	Events []Event
	Next   string // where the next page begins; "": this is the last

	// Until when the search has looked back before it ran out of time; zero: it did not. Next goes on from there.
	Searched time.Time
}

// A PinServer is what was seen of one server, for people to approve.
type PinServer struct {
	Name    string
	Changed int // names that someone sees otherwise than approved
	Added   int // names that nothing was approved for
	Names   []PinName
}

// A PinName is a tool, a prompt or the instructions, with all definitions of it that were seen: the approved one first, then the
// last seen first.
type PinName struct {
	Kind, Name string
	Approved   bool // one of them
	Candidates []PinCandidate
}

// A PinRef names one definition.
type PinRef struct{ Kind, Name, Digest string }

// A PinCandidate is one definition that was seen.
type PinCandidate struct {
	PinRef
	Approved      bool
	ApprovedBy    string
	ApprovedAt    time.Time
	First, Last   time.Time
	By            []string // principal@host
	ServerVersion string   // name and version, as the server calls itself
	Definition    string   // canonical JSON; "": too large to show
	Changes       []Change // against the approved one; against nothing for the first
}

// A Change is one difference between two definitions. Old or New is empty where that side has nothing there.
type Change struct {
	Path     string // inputSchema.properties.path.description; "": the whole
	Old, New string // text of JSON strings, else JSON
}

// Chains are all chains of the record, those with problems first.
type Chains struct {
	Chains   []Chain
	Problems []Problem // the latest, newest first
	Checked  time.Time // of the last check of the whole store; zero: not yet
	Intact   bool      // what that check said
}

// A Chain is one chain of events.
type Chain struct {
	Principal, Chain string
	Seq              uint64 // of the last event
	Events           int64
	Problems         int64
	Last             time.Time
}

// A Problem is something that is wrong with a chain.
type Problem struct {
	Principal, Chain string
	Reason, Detail   string
	Seq              uint64
	At               time.Time
}

// A Tick is what has arrived since the one before.
type Tick struct {
	Events  []Event // at most 40, newest first
	Missed  int64   // how many more there were
	PerSec  float64 // events that arrived per second, lately
	Total   int64   // in the store
	Alive   int     // wrappers
	Dropped bool    // the reader was slow: some ticks were left out
}

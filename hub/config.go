package hub

import (
	"time"

	"github.com/rohitgs28/mcpx/hub/auth"
	"github.com/rohitgs28/mcpx/integrity"
	"github.com/rohitgs28/mcpx/policy"
)

// A Config is what a gateway serves. It has been validated, its defaults are filled in, its secrets resolved. Configs are
// compared with reflect.DeepEqual to find out what a reload changes.
type Config struct {
	Listen     string // host:port
	TLS        TLS
	Servers    []Server
	Policies   map[string]policy.Config // of every entry, also of those that only wrappers use; what Servers has too need not be repeated
	Auth       auth.Config
	Clients    map[string]map[string]policy.Override // what each client is denied beyond the servers' own policies, by client and server
	RateLimit  policy.RateConfig
	Breaker    Breaker
	Inspection integrity.Config
	Limits     Limits
	CORS       CORS
	Admin      Admin
}

// Admin says where people look at what the hub knows, in a browser. The zero Admin: nowhere.
type Admin struct {
	Listen string // host:port
	URL    string // scheme://host[:port] that links to it begin with; "": made of the address
}

// TLS names the files of a certificate; they are read again when they change. The zero TLS is plain HTTP.
type TLS struct {
	CertFile, KeyFile string
	ClientCAFile      string // "": clients need no certificate
}

// A Server is one entry of the configuration: a URL or a command.
type Server struct {
	Name           string // the {server} in /mcp/{server}
	URL            string
	Transport      string // http, sse or stdio
	Command        string
	Args           []string
	Env            map[string]string // what a child gets beside the few variables that every child gets
	Workdir        string
	RequestTimeout time.Duration     // without a sign of life, per request
	Isolation      string            // shared, client or session
	Headers        map[string]string // sent with every request upstream; the client's own credentials never are
	Policy         policy.Config
}

// Isolation says who shares a stdio child.
const (
	Shared     = "shared"  // all clients
	PerClient  = "client"  // what comes from one principal
	PerSession = "session" // one legacy session, or one modern request
)

// A Breaker says when a server is not asked for a while.
type Breaker struct {
	Enabled          bool
	FailureThreshold int           // consecutive failures that open it
	Cooldown         time.Duration // until probes are let through
	HalfOpenMax      int           // probes at a time
}

// Limits bound what a peer can make us hold or do.
type Limits struct {
	MaxBody    int // bytes of one HTTP body of a client
	MaxMessage int // bytes of one message of a server
	MaxDepth   int // nesting of one message
	MaxPages   int // pages of one list
}

// CORS says which pages of browsers may use the gateway.
type CORS struct {
	AllowedOrigins []string // exact, or * for any
	AllowedHeaders []string // beside those of the protocol
	MaxAge         time.Duration
}

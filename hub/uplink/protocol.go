package uplink

import "time"

// The calls of a hub. All but those on the hub's own socket need a hub token: Authorization: Bearer TOKEN.
const (
	PathHub      = "/v1/hub"       // GET: Identity
	PathEvents   = "/v1/events"    // POST: lines of one chain, NDJSON; answers Acknowledgement. Administrators: GET, with a Search as query; answers Found
	PathAlive    = "/v1/heartbeat" // POST: Presence
	PathPolicy   = "/v1/policy/"   // + server. GET: a signed Bundle; as text/event-stream: this one and each that follows
	PathPins     = "/v1/pins/"     // + server. POST: Sightings. Administrators: GET ([]Review; of all without server), POST + "/approve" (Approval)
	PathRevoke   = "/v1/revoked/"  // + server. Administrators: GET (map[string][]Revocation; of all without server), POST Revocation, DELETE + "/" + tool
	PathWrappers = "/v1/wrappers"  // Administrators. GET: Fleet
)

// Headers of POST /v1/events.
const (
	// HeaderChain names the chain that the lines are from: 1 to 128 of [A-Za-z0-9._-], the same for all of its batches.
	HeaderChain = "Mcpx-Chain"
	// HeaderGap: "declared" says that the sender has no events between those that the hub has and the first of these. Without
	// it such a batch is answered by 409 and the Acknowledgement from where to go on.
	HeaderGap   = "Mcpx-Gap"
	GapDeclared = "declared"
)

// Limits of what a hub takes, in bytes or as counts.
const (
	MaxBatchBody   = 2 << 20 // of POST /v1/events as sent, compressed or not
	MaxBatch       = 8 << 20 // the same, uncompressed
	MaxBatchEvents = 10_000
	MaxDocument    = 8 << 20 // of any other body, either way
)

// An Acknowledgement says up to which event of a chain the hub has everything, on its disk.
type Acknowledgement struct {
	Acked  uint64 `json:"acked"`
	Stored int    `json:"stored"` // how many events of this batch were new
}

// An Identity is whom a token belongs to, and which hub it was shown to.
type Identity struct {
	Version   string    `json:"version"`   // of mcpx
	Key       Key       `json:"key"`       // that bundles are signed with
	Principal string    `json:"principal"` // the token's name; "local" on the hub's own socket
	Admin     bool      `json:"admin"`
	Servers   []string  `json:"servers,omitempty"` // names or globs that the token is limited to; none: all
	Expires   time.Time `json:"expires,omitzero"`
	Dashboard string    `json:"dashboard,omitempty"` // its URL, for administrators who may see all servers; "": there is none
}

// LocalPrincipal is who comes by the hub's own socket: the user that the hub runs as.
const LocalPrincipal = "local"

// A Presence is a wrapper that is alive. It is sent every HeartbeatEvery and whenever it changes.
type Presence struct {
	Instance   string    `json:"instance"` // of its audit log; with the principal it names the wrapper
	Server     string    `json:"server"`
	Version    string    `json:"version"` // of mcpx
	Host       string    `json:"host"`
	User       string    `json:"user"`
	PID        int       `json:"pid"`
	Started    time.Time `json:"started"`
	ClientInfo RawJSON   `json:"client_info,omitempty"` // as the peers said it
	ServerInfo RawJSON   `json:"server_info,omitempty"`
	Serial     int64     `json:"serial,omitzero"`   // of the bundle in effect; 0: none
	Pending    uint64    `json:"pending,omitzero"`  // events of its own chain that the hub does not have yet
	Ended      bool      `json:"ended,omitzero"`    // it says goodbye
	Problems   []string  `json:"problems,omitzero"` // what it could not do, such as a bundle that it refused
}

// HeartbeatEvery is how often a wrapper says that it is alive. After three times that it is taken for gone.
const HeartbeatEvery = 30 * time.Second

// A Fleet is all wrappers that a hub knows.
type Fleet struct {
	Wrappers []Wrapper `json:"wrappers"`
	Chains   []Chain   `json:"chains"`
	Events   int64     `json:"events"` // in the store
}

// A Wrapper is a Presence as the hub has it.
type Wrapper struct {
	Presence
	Principal string    `json:"principal"`
	Seen      time.Time `json:"seen"`
	Alive     bool      `json:"alive"`
}

// A Chain is one chain of events as the hub has it.
type Chain struct {
	Principal string    `json:"principal"`
	Chain     string    `json:"chain"`
	Seq       uint64    `json:"seq"`    // of the last event
	Events    int64     `json:"events"` // in the store
	Problems  int64     `json:"problems"`
	Last      time.Time `json:"last"` // when something came
}

// Sightings are the definitions that a wrapper has seen of a server.
type Sightings struct {
	Server     string     `json:"server"`
	ServerInfo RawJSON    `json:"server_info,omitempty"`
	Host       string     `json:"host"`
	Items      []Sighting `json:"items"`
}

// A Sighting is one definition. Digest is what package integrity makes of Definition, which the hub checks.
type Sighting struct {
	Kind       string  `json:"kind"` // tool, prompt or instructions
	Name       string  `json:"name"` // "" for instructions
	Digest     string  `json:"digest"`
	Definition RawJSON `json:"definition"` // canonical
}

// A Review is what was proposed for a server, for people to decide about.
type Review struct {
	Server string     `json:"server"`
	Items  []Proposal `json:"items"`
}

// A Proposal is one definition that somebody saw.
type Proposal struct {
	Sighting
	ServerInfo RawJSON   `json:"server_info,omitempty"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	By         []string  `json:"by"` // principal@host, those who saw it; the first 20
	Approved   bool      `json:"approved"`
	ApprovedBy string    `json:"approved_by,omitempty"`
	ApprovedAt time.Time `json:"approved_at,omitzero"`
}

// An Approval names what is approved for all: one definition each.
type Approval struct {
	Items []ApprovalItem `json:"items"`
}

// An ApprovalItem names a definition by its digest.
type ApprovalItem struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// A Revocation takes a tool away from everybody.
type Revocation struct {
	Tool   string    `json:"tool"`
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

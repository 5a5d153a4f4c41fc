package jsonrpc

// A Field is a member that decisions need. A scan finds all of them in its one pass.
type Field uint8

const (
	// params
	Name             Field = iota // tools/call, prompts/get
	URI                           // resources/*, notifications/resources/updated
	Arguments                     // tools/call, prompts/get
	Ref                           // completion/complete
	RefType                       // params.ref.type
	RefName                       // params.ref.name
	RefURI                        // params.ref.uri
	Cursor                        // lists
	RequestID                     // notifications/cancelled
	ProgressToken                 // notifications/progress
	ProtocolVersion               // initialize: params and result
	ClientInfo                    // initialize
	Capabilities                  // initialize: params and result
	Task                          // tools/call as a task
	TaskID                        // tasks/*
	InputResponses                // answers to input_required
	RequestState                  // params and result
	Notifications                 // subscriptions/listen
	Subscriptions                 // params.notifications.resourceSubscriptions
	Meta                          // _meta of params and result
	MetaVersion                   // _meta: io.modelcontextprotocol/protocolVersion
	MetaClientInfo                // _meta: io.modelcontextprotocol/clientInfo
	MetaServerInfo                // _meta: io.modelcontextprotocol/serverInfo
	MetaProgress                  // _meta.progressToken
	MetaTraceparent               // _meta.traceparent (W3C Trace Context)
	MetaTracestate                // _meta.tracestate
	MetaSubscription              // _meta: io.modelcontextprotocol/subscriptionId
	MetaLogLevel                  // _meta: io.modelcontextprotocol/logLevel

	// result
	Tools
	Prompts
	Resources
	ResourceTemplates
	NextCursor
	Instructions
	ServerInfo
	ResultType
	InputRequests
	IsError

	// error
	Code
	ErrorMessage

	fieldCount = iota
	noField    = fieldCount
)

// metaPrefix is the reserved prefix of _meta keys in revision 2026-07-28.
const metaPrefix = "io.modelcontextprotocol/"

// An object lists the protocol's own members of one kind of object. A name in it that differs from one of these
// only by case or Unicode folding is refused: parsers that fold would take it for the real one.
type object []member

type member struct {
	name   string
	field  Field  // noField: only guarded against twins
	object object // what is known inside
	part   part   // the envelope's own members
}

type part uint8

const (
	noPart part = iota
	partVersion
	partRequestID
	partMethod
	partParams
	partResult
	partError
)

var envelope = object{
	{name: "jsonrpc", field: noField, part: partVersion},
	{name: "id", field: noField, part: partRequestID},
	{name: "method", field: noField, part: partMethod},
	{name: "params", field: noField, part: partParams, object: params},
	{name: "result", field: noField, part: partResult, object: result},
	{name: "error", field: noField, part: partError, object: failure},
}

var params = object{
	{name: "name", field: Name},
	{name: "arguments", field: Arguments},
	{name: "_meta", field: Meta, object: meta},
	{name: "uri", field: URI},
	{name: "cursor", field: Cursor},
	{name: "ref", field: Ref, object: object{
		{name: "type", field: RefType},
		{name: "name", field: RefName},
		{name: "uri", field: RefURI},
	}},
	{name: "requestId", field: RequestID},
	{name: "progressToken", field: ProgressToken},
	{name: "protocolVersion", field: ProtocolVersion},
	{name: "clientInfo", field: ClientInfo},
	{name: "capabilities", field: Capabilities},
	{name: "task", field: Task, object: object{}},
	{name: "taskId", field: TaskID},
	{name: "inputResponses", field: InputResponses},
	{name: "requestState", field: RequestState},
	{name: "notifications", field: Notifications, object: object{
		{name: "toolsListChanged", field: noField},
		{name: "promptsListChanged", field: noField},
		{name: "resourcesListChanged", field: noField},
		{name: "resourceSubscriptions", field: Subscriptions},
	}},
	{name: "level", field: noField},
	{name: "argument", field: noField},
}

var meta = object{
	{name: "progressToken", field: MetaProgress},
	{name: metaPrefix + "protocolVersion", field: MetaVersion},
	{name: metaPrefix + "clientInfo", field: MetaClientInfo},
	{name: metaPrefix + "serverInfo", field: MetaServerInfo},
	{name: metaPrefix + "clientCapabilities", field: noField},
	{name: metaPrefix + "subscriptionId", field: MetaSubscription},
	{name: metaPrefix + "related-task", field: noField},
	{name: metaPrefix + "logLevel", field: MetaLogLevel},
	{name: "traceparent", field: MetaTraceparent},
	{name: "tracestate", field: MetaTracestate},
}

var result = object{
	{name: "content", field: noField},
	{name: "isError", field: IsError},
	{name: "structuredContent", field: noField},
	{name: "_meta", field: Meta, object: meta},
	{name: "resultType", field: ResultType},
	{name: "tools", field: Tools},
	{name: "prompts", field: Prompts},
	{name: "resources", field: Resources},
	{name: "resourceTemplates", field: ResourceTemplates},
	{name: "nextCursor", field: NextCursor},
	{name: "instructions", field: Instructions},
	{name: "serverInfo", field: ServerInfo},
	{name: "protocolVersion", field: ProtocolVersion},
	{name: "capabilities", field: Capabilities},
	{name: "inputRequests", field: InputRequests},
	{name: "requestState", field: RequestState},
	{name: "contents", field: noField},
	{name: "messages", field: noField},
	{name: "completion", field: noField},
}

var failure = object{
	{name: "code", field: Code},
	{name: "message", field: ErrorMessage},
	{name: "data", field: noField},
}

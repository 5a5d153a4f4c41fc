// Package telemetry tells a collector what the guard does, by OpenTelemetry: a span and a measurement of each request, by the
// semantic conventions for MCP, sent as OTLP over HTTP. mcpx stands between two peers, so a request that it forwards has two spans:
// a SERVER span of what was asked of it, and a CLIENT span below it of what it asks of the other side.
//
// Spans name methods, targets, rules and reasons. They never hold arguments or results; a resource's URI they hold, as the
// conventions ask, and a URI may say more than a name.
//
// The package reads no file but certificates, decides nothing, and nothing waits for it: what cannot be sent is counted and
// dropped. Its exporter is our own: the stock ones link gRPC, which every start of mcpx would pay for.
package telemetry

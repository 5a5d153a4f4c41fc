// Package integrity tells whether a server still says what was approved.
//
// What a server lists (tools, prompts) and its instructions are pinned the first time they are seen, as
// digests of their whole definitions, in a [File] (mcpx.lock). Everything that is seen later is compared
// with the pins, never with what was seen last, so a violation stays one until a person approves it or the
// server goes back. What a hub has approved for all ([Pins.SetApproved]) counts for more than what is pinned here. A [Walk]
// judges the pages of one list, [Pins.Judge] a single call.
//
// The package does not speak to servers, filters no messages and writes no audit events: its caller acts on
// the findings. It does not judge whether a definition is harmless, only whether it is the one that was
// pinned, and it does not defend mcpx.lock against programs that run as the same user.
package integrity

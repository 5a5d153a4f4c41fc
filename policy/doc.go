// Package policy decides what one client may ask of one server, and what that server may ask of the client.
//
// A [Config] holds the rules of one server entry. [Compile] turns it, and the layers that restrict it further
// (a client's override, the hub's policy), into an [Engine]. All layers must allow; within a layer deny lists
// win. Every [Decision] names the rule that made it. An Engine is pure: the same input gives the same decision
// for as long as the directories that a `within` rule names stay as they are, and any number of goroutines may
// use it at once. Whatever the engine does not understand is denied.
//
// # Patterns
//
// Names are compared byte by byte, case and all. In a pattern * stands for any run of characters, ? for one,
// [a-z] for one of a set, [!a-z] for one outside it, {a,b} for either text, and \ takes the meaning from the
// character after it. In patterns for resource URIs * and ? stop at a slash and ** does not. Matching takes
// time linear in the name, whatever the pattern.
//
// A name that differs from a ruled name only by case or Unicode folding is denied, and so is a name that holds
// control, bidi or zero-width characters.
//
// # What it does not do
//
// The package does not read messages, keep state between calls (but for the buckets of a [Limiter]) or look at
// what a server answers; the Guard does. It does not resolve host names, follow redirects or hold a file
// open: what a server later does with an argument that was allowed is the server's own business.
package policy

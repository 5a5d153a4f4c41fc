// Package dashboard is what a person looks at in a browser: HTML pages, their style, a little script, and plots as SVG, rendered
// on the server and embedded in the program. Nothing is asked of any other host, and all but the live view works without the
// script.
//
// All that is shown came from servers and agents. It gets into a page as text alone: html/template escapes it, characters that
// could hide or reorder text are shown by name, and the Content-Security-Policy lets nothing run but our own file.
//
// The package knows no store and no hub: it renders what a [Source] gives. It authenticates nobody: that is for whoever serves it.
package dashboard

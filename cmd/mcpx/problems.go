package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A problem is one thing that is wrong with a configuration file.
type problem struct {
	Line    int    `json:"line,omitempty"` // from 1; 0: not tied to a line
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"` // such as servers[1].policy.on_deny
	Message string `json:"message"`
}

// A configError is everything that is wrong with one configuration file.
type configError struct {
	File     string
	Problems []problem
}

func (e *configError) Error() string {
	lines := e.lines()
	if len(lines) == 1 {
		return lines[0]
	}
	return fmt.Sprintf("%s has %s:\n  %s", e.File, count(len(lines), "problem"), strings.Join(lines, "\n  "))
}

// lines gives each problem as file:line:column: path: message, in the order of the file.
func (e *configError) lines() []string {
	lines := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		lines = append(lines, p.text(e.File))
	}
	return lines
}

func (p problem) text(file string) string {
	var b strings.Builder
	b.WriteString(file)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Column > 0 {
		fmt.Fprintf(&b, ":%d", p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return printable(b.String())
}

func sortProblems(problems []problem) {
	slices.SortStableFunc(problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// leaves takes joined errors apart, in their order.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, leaves(e)...)
	}
	return all
}

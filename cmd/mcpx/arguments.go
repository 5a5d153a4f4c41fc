package main

import (
	"fmt"
	"math"
	"regexp"

	"github.com/spf13/cobra"
)

// many is no bound of operands.
const many = math.MaxInt

// operand is a word of a usage line that stands for an argument.
var operand = regexp.MustCompile(` \[?([A-Z]+)`)

// operands says which argument is missing or too many, in the words of the usage line; cobra tells numbers.
func operands(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("%s is missing: write %s", operand.FindAllStringSubmatch(c.Use, least)[len(args)][1], c.UseLine())
		case len(args) > most:
			return fmt.Errorf("%q is an argument too many: write %s", args[most], c.UseLine())
		default:
			return nil
		}
	}
}

// helpTopics refuses help about a command that does not exist; cobra prints that of mcpx, as if all were well.
func helpTopics(c *cobra.Command, args []string) error {
	about, rest, err := c.Root().Find(args)
	if len(rest) > 0 {
		return unknownCommand(about, rest[0])
	}
	return err
}

package integrity

import (
	"errors"
	"fmt"
	"strings"
)

// Config is the `inspection` section of mcpx.yaml.
type Config struct {
	// ToolIntegrity is off, warn or enforce. Empty: enforce.
	ToolIntegrity string `yaml:"tool_integrity"`
	// FilterToolsList says whether denied tools are taken out of lists. Nil: true. Used by the guard.
	FilterToolsList *bool `yaml:"filter_tools_list"`
	// NewTools is allow or quarantine: what becomes of tools and prompts that appear after the first
	// complete list. Empty: allow.
	NewTools string `yaml:"new_tools"`
	// ShadowedTools is warn or enforce: what becomes of a tool whose name another server offers too.
	// Empty: warn.
	ShadowedTools string `yaml:"shadowed_tools"`
}

// Validate reports every value that is not one of its key's choices.
func (c Config) Validate() error {
	return errors.Join(
		choice("tool_integrity", c.ToolIntegrity, "off", "warn", "enforce"),
		choice("new_tools", c.NewTools, "allow", "quarantine"),
		choice("shadowed_tools", c.ShadowedTools, "warn", "enforce"),
	)
}

func choice(key, value string, choices ...string) error {
	if value == "" {
		return nil
	}
	var list strings.Builder
	for i, c := range choices {
		switch {
		case value == c:
			return nil
		case i == 0:
		case i == len(choices)-1:
			list.WriteString(" or ")
		default:
			list.WriteString(", ")
		}
		list.WriteString(c)
	}
	return fmt.Errorf("%s: %q is not %s", key, value, list.String())
}

func (c Config) off() bool { return c.ToolIntegrity == "off" }

// The three below treat a value that Validate refuses as the strict one.

func (c Config) enforce() bool {
	return c.ToolIntegrity != "off" && c.ToolIntegrity != "warn"
}

func (c Config) quarantine() bool {
	return c.NewTools != "" && c.NewTools != "allow"
}

func (c Config) enforceShadows() bool {
	return c.ShadowedTools != "" && c.ShadowedTools != "warn"
}

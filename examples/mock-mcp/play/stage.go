package play

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// A stage is where the demo plays: a folder of its own, removed at the end.
type stage struct {
	folder    string
	config    string // mcpx.yaml
	notes     string // a file in the workspace
	elsewhere string // a file outside of it
	control   string // the mock server's control file
	audit     string // the audit log's folder
	state     string // mcpx's state folder
}

const configText = `servers:
  - name: mock
    policy:
      deny_tools: [dangerous_delete]
      tool_rules:
        read_file:
          args:
            path: { within: %s }
inspection: { tool_integrity: enforce }
audit: { path: %s }
`

// newStage makes the folder and what lies in it. A stage that comes with an error is to be removed too.
func newStage() (*stage, error) {
	folder, err := os.MkdirTemp("", "mcpx-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	if real, err := filepath.EvalSymlinks(folder); err == nil { // such as /var on macOS
		folder = real
	}
	at := func(name string) string { return filepath.Join(folder, name) }
	s := &stage{
		folder: folder, config: at("mcpx.yaml"), control: at("control"), audit: at("audit") + string(filepath.Separator), state: at("state"),
		// With slashes, on Windows too: `within` takes no backslashes.
		notes: filepath.ToSlash(filepath.Join(folder, "workspace", "notes.txt")), elsewhere: filepath.ToSlash(at("diary.txt")),
	}
	if err := os.Mkdir(s.workspace(), 0o700); err != nil {
		return s, err
	}
	for path, text := range map[string]string{
		s.notes:     "buy milk",
		s.elsewhere: "dear diary",
		// Quoted as JSON, which YAML reads the same way, backslashes included.
		s.config: fmt.Sprintf(configText, strconv.Quote(s.workspace()), strconv.Quote(s.audit)),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *stage) workspace() string { return filepath.Dir(filepath.FromSlash(s.notes)) }

func (s *stage) remove() { _ = os.RemoveAll(s.folder) }

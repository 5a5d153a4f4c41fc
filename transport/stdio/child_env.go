package stdio

import (
	"os"
	"strings"
)

// childEnv is the environment of a child: what was given, else ours less our own settings and
// secrets. Python block-buffers a stdout that is no terminal, which would hold answers back.
func childEnv(given []string) []string {
	env := make([]string, 0, len(given)+1)
	if given != nil {
		env = append(env, given...)
	} else {
		for _, kv := range os.Environ() {
			if !isOwnVariable(kv) {
				env = append(env, kv)
			}
		}
	}
	if _, set := envValue(env, "PYTHONUNBUFFERED"); !set {
		env = append(env, "PYTHONUNBUFFERED=1")
	}
	return env
}

func isOwnVariable(kv string) bool {
	const prefix = "MCPX_"
	return len(kv) >= len(prefix) && sameEnvName(kv[:len(prefix)], prefix)
}

// envValue returns the value of a variable; the last one counts, as in os/exec.
func envValue(env []string, name string) (value string, set bool) {
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok && sameEnvName(k, name) {
			value, set = v, true
		}
	}
	return value, set
}

// withEnv returns env with the variable set once, under the name that it had.
func withEnv(env []string, name, value string) []string {
	out := make([]string, 0, len(env)+1)
	for _, kv := range env {
		if k, _, ok := strings.Cut(kv, "="); ok && sameEnvName(k, name) {
			name = k
			continue
		}
		out = append(out, kv)
	}
	return append(out, name+"="+value)
}

package stdio

import (
	"os"
	"slices"
	"strings"
)

// childEnv is the environment of a child: what was given, else ours less our own settings and
// secrets. Python block-buffers a stdout that is no terminal, which would hold answers back.
func childEnv(given []string) []string {
	env := lastOfEach(given)
	if given == nil {
		env = Environ()
	}
	if _, set := envValue(env, "PYTHONUNBUFFERED"); !set {
		env = append(env, "PYTHONUNBUFFERED=1")
	}
	return env
}

// Environ returns our own environment less MCPX_*, which is ours alone.
func Environ() []string { return slices.DeleteFunc(os.Environ(), isOwnVariable) }

// lastOfEach leaves out what a later entry overrides. In an environment itself the first would
// count, but whoever appends to a list means the last, and os/exec has taught so.
func lastOfEach(env []string) []string {
	out := make([]string, 0, len(env)+1)
	seen := make(map[string]bool, len(env))
	for _, kv := range slices.Backward(env) {
		name, _, _ := strings.Cut(strings.TrimPrefix(kv, "="), "=") // "=C:" is a name, on Windows
		if strings.HasPrefix(kv, "=") {
			name = "=" + name
		}
		if key := envKey(name); !seen[key] {
			seen[key] = true
			out = append(out, kv)
		}
	}
	slices.Reverse(out)
	return out
}

func isOwnVariable(kv string) bool {
	const prefix = "MCPX_"
	return len(kv) >= len(prefix) && envKey(kv[:len(prefix)]) == prefix
}

// envValue returns the value of a variable; the last one counts, as in os/exec.
func envValue(env []string, name string) (value string, set bool) {
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok && envKey(k) == envKey(name) {
			value, set = v, true
		}
	}
	return value, set
}

// withEnv returns env with the variable set once, under the name that it had.
func withEnv(env []string, name, value string) []string {
	out := make([]string, 0, len(env)+1)
	for _, kv := range env {
		if k, _, ok := strings.Cut(kv, "="); ok && envKey(k) == envKey(name) {
			name = k
			continue
		}
		out = append(out, kv)
	}
	return append(out, name+"="+value)
}

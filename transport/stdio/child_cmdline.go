package stdio

import (
	"fmt"
	"strings"
)

// batchLine is the command line that runs a batch file, such as npx.cmd, with exactly these
// arguments. cmd.exe reads its line by rules of its own, in which no quoting is safe for a percent
// sign or a quote, and a line break ends the line (CVE-2024-27980 and its kin in other languages):
// an argument with one is refused rather than changed.
//
// /d leaves out AutoRun commands, /s makes the outermost quotes the only ones that are taken off,
// /v:off keeps "!" a plain character, /e:on is what batch files expect.
func batchLine(cmdExe, path string, args []string) (string, error) {
	var b strings.Builder
	b.WriteString(`"` + cmdExe + `" /d /e:on /v:off /s /c "`)
	for i, arg := range append([]string{path}, args...) {
		if bad := strings.IndexAny(arg, "\x00\r\n%\""); bad >= 0 {
			return "", fmt.Errorf("argument %q: a batch file cannot be given %q safely; run the program behind %q itself", arg, arg[bad], path)
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quoteBatchArg(arg))
	}
	b.WriteByte('"')
	return b.String(), nil
}

// quoteBatchArg quotes all but the plainest words. Backslashes before the closing quote are doubled
// for the program that the batch file hands the argument to.
func quoteBatchArg(arg string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@+\\"
	if arg != "" && strings.Trim(arg, plain) == "" && !strings.HasSuffix(arg, `\`) {
		return arg
	}
	trailing := len(arg) - len(strings.TrimRight(arg, `\`))
	return `"` + arg + strings.Repeat(`\`, trailing) + `"`
}

//go:build unix

package stdio

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const roleVariable = "STDIO_TEST_ROLE"

// play is the main function of a child. A role is a name and its arguments, separated by spaces.
func play(role string) (exit int) {
	name, arg, _ := strings.Cut(role, " ")
	switch name {
	case "exit":
		code, _ := strconv.Atoi(arg)
		return code
	case "suicide":
		n, _ := strconv.Atoi(arg)
		_ = syscall.Kill(os.Getpid(), syscall.Signal(n))
		select {}
	case "echo": // until the end of input
		_, _ = io.Copy(os.Stdout, os.Stdin)
	case "deaf": // to the end of input and to every signal that can be ignored
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		fmt.Println("ready")
		wait()
	case "stubborn": // to the end of input only
		fmt.Println("ready")
		wait()
	case "graceful": // leaves with 7 on SIGTERM
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("ready")
		<-c
		return 7
	case "flood":
		n, _ := strconv.Atoi(arg)
		line := append(bytes.Repeat([]byte("e"), 1023), '\n')
		for range n / len(line) {
			_, _ = os.Stderr.Write(line)
		}
		_, _ = os.Stderr.WriteString("last words\n")
	case "environ":
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "dir":
		dir, _ := os.Getwd()
		fmt.Println(dir)
	case "tty":
		return playTTY()
	case "parent": // of a deaf grandchild; leaves at the end of input
		spawn(arg)
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "fork": // a deaf grandchild that is nobody's child
		spawn("plain")
	case "wrapper": // starts arg as we would, tells when it is ready, then never does anything again
		return playWrapper(arg)
	default:
		panic("unknown role " + role)
	}
	return 0
}

// wait is for a long time, but not for ever should a test fail to end it.
func wait() { <-time.After(time.Minute) }

// spawn starts a deaf grandchild: plain, in a session of its own, or forked twice.
func spawn(how string) {
	role, attr := "deaf", &syscall.SysProcAttr{}
	switch how {
	case "setsid":
		attr.Setsid = true
	case "double": // its parent leaves at once
		role, attr.Setsid = "fork", true
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = withEnv(os.Environ(), roleVariable, role)
	cmd.SysProcAttr = attr
	cmd.Stdout = os.Stdout // which it holds open
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	if role == "fork" {
		_ = cmd.Wait()
	}
}

func playWrapper(role string) int {
	if os.Getenv("STDIO_TEST_NO_GUARD") != "" {
		withoutGuard()
	}
	c, err := Start(Command{Args: []string{os.Args[0]}, Env: withEnv(os.Environ(), roleVariable, role)})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	line, _ := bufio.NewReader(c.Stdout()).ReadString('\n')
	fmt.Print(line)
	wait()
	return 0
}

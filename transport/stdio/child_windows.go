package stdio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// A job is a leader in a job object. The system ends every process of the job when the last handle
// to it is closed, which our own end does, however it comes. A descendant cannot leave it.
type job struct {
	leader *os.Process

	mu     sync.Mutex
	handle windows.Handle // 0 once everything in the job is gone; guarded by mu
	gone   bool           // the leader is waited for, so its number may be another's; guarded by mu
}

// A starter has nothing to get ready here.
type starter struct{}

func newStarter([]string, [3]*os.File) starter { return starter{} }

func (*starter) close() {}

// startOrShell starts the launch suspended, so that it can start nothing outside the job.
func (*starter) startOrShell(l launch) (process, error) {
	line := ""
	if isBatch(l.path) {
		shell, err := windows.GetSystemDirectory()
		if err != nil {
			return nil, err
		}
		shell = filepath.Join(shell, "cmd.exe")
		if line, err = batchLine(shell, l.path, l.args[1:]); err != nil {
			return nil, err
		}
		l.path = shell
	}
	if _, set := envValue(l.env, "SYSTEMROOT"); !set { // without it a program cannot so much as open a socket
		l.env = withEnv(l.env, "SYSTEMROOT", os.Getenv("SYSTEMROOT"))
	}
	handle, err := newJob()
	if err != nil {
		return nil, fmt.Errorf("create job object: %w", err)
	}
	leader, err := os.StartProcess(l.path, l.args, &os.ProcAttr{
		Dir:   l.dir,
		Env:   l.env,
		Files: l.files[:],
		Sys: &syscall.SysProcAttr{
			CmdLine:       line,
			HideWindow:    true, // of a console that the system makes when we have none
			CreationFlags: windows.CREATE_SUSPENDED | windows.CREATE_NEW_PROCESS_GROUP,
		},
	})
	if err != nil {
		_ = windows.CloseHandle(handle)
		return nil, err
	}
	if err := confine(handle, leader); err != nil {
		_ = leader.Kill()
		_, _ = leader.Wait()
		_ = windows.CloseHandle(handle)
		return nil, err
	}
	return &job{handle: handle, leader: leader}, nil
}

func newJob() (windows.Handle, error) {
	handle, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, err
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(handle, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		_ = windows.CloseHandle(handle)
		return 0, err
	}
	return handle, nil
}

// confine puts the suspended leader into the job and lets it run.
func confine(handle windows.Handle, leader *os.Process) error {
	var assigned error
	err := leader.WithHandle(func(p uintptr) {
		assigned = windows.AssignProcessToJobObject(handle, windows.Handle(p))
	})
	if err := errors.Join(err, assigned); err != nil {
		return fmt.Errorf("assign to job object: %w", err)
	}
	if err := resume(uint32(leader.Pid)); err != nil { //nolint:gosec // process ids have 32 bits
		return fmt.Errorf("resume: %w", err)
	}
	return nil
}

// resume starts the only thread that a suspended process has.
func resume(pid uint32) error {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPTHREAD, 0)
	if err != nil {
		return err
	}
	defer func() { _ = windows.CloseHandle(snapshot) }()
	entry := windows.ThreadEntry32{}
	entry.Size = uint32(unsafe.Sizeof(entry))
	for err = windows.Thread32First(snapshot, &entry); err == nil; err = windows.Thread32Next(snapshot, &entry) {
		if entry.OwnerProcessID != pid {
			continue
		}
		thread, err := windows.OpenThread(windows.THREAD_SUSPEND_RESUME, false, entry.ThreadID)
		if err != nil {
			return err
		}
		defer func() { _ = windows.CloseHandle(thread) }()
		_, err = windows.ResumeThread(thread)
		return err
	}
	return err
}

func (j *job) pid() int { return j.leader.Pid }

func (j *job) wait() Exit {
	// Wait lets go of the process and thus of its number, so it must not be signalled after it.
	awaitErr := j.await()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.gone = true
	state, err := j.leader.Wait()
	if err := errors.Join(awaitErr, err); err != nil {
		return Exit{Code: 255, text: "exit status unknown: " + err.Error()}
	}
	return Exit{Code: state.ExitCode(), text: "exit status " + strconv.Itoa(state.ExitCode())}
}

func (j *job) await() error {
	var waited error
	err := j.leader.WithHandle(func(p uintptr) {
		_, waited = windows.WaitForSingleObject(windows.Handle(p), windows.INFINITE)
	})
	return errors.Join(err, waited)
}

// signal sends CTRL_BREAK to the leader's group, the one event that reaches a group. It arrives
// when we share a console; otherwise the ladder goes on to the end of the job.
func (j *job) signal(sig os.Signal) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.gone || j.handle == 0 {
		return os.ErrProcessDone
	}
	if sig == os.Kill {
		return windows.TerminateJobObject(j.handle, 1)
	}
	return windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(j.leader.Pid)) //nolint:gosec // 32 bits
}

// sweepLimit bounds the wait for a process that is being ended.
const sweepLimit = 5 * time.Second

// sweep ends the job, waits until it is empty, and lets go of it.
func (j *job) sweep() {
	j.mu.Lock()
	if j.handle != 0 {
		_ = windows.TerminateJobObject(j.handle, 1)
	}
	j.mu.Unlock()
	j.awaitEmpty(time.Now().Add(sweepLimit))
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.handle != 0 {
		_ = windows.CloseHandle(j.handle)
		j.handle = 0
	}
}

// awaitHangup waits until nobody can write to the child's stdout, or until the deadline: a pipe
// cannot be asked while someone reads from it, but only the job's processes have its other end.
func awaitHangup(c *Child, deadline time.Time) {
	if j, ok := c.proc.(*job); ok {
		j.awaitEmpty(deadline)
	}
}

func (j *job) awaitEmpty(deadline time.Time) {
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for j.active() > 0 && time.Now().Before(deadline) {
		<-pause.C
	}
}

// active counts the processes in the job.
func (j *job) active() uint32 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.handle == 0 {
		return 0
	}
	var info struct { // JOBOBJECT_BASIC_ACCOUNTING_INFORMATION
		times                        [4]int64
		faults, total, active, ended uint32
	}
	err := windows.QueryInformationJobObject(j.handle, windows.JobObjectBasicAccountingInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)), nil)
	if err != nil {
		return 0
	}
	return info.active
}

// isBatch reports whether Windows runs the file by cmd.exe.
func isBatch(path string) bool {
	p := strings.ToLower(path)
	return strings.HasSuffix(p, ".cmd") || strings.HasSuffix(p, ".bat")
}

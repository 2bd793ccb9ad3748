package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cudaBackend is the file of a bundle's CUDA backend.
const cudaBackend = "libggml-cuda.so"

// drainTime is how long output is still read after the server's end: a process
// that inherited its pipes would keep them open for ever.
const drainTime = 2 * time.Second

// Server is a llama-server that runs.
type Server struct {
	cmd   *exec.Cmd
	args  Arguments
	grace time.Duration
	log   *slog.Logger
	out   *output
	url   string
	// healthy is when /health first said 200.
	healthy time.Time

	// done is closed when the process and its group are gone and their output
	// is read; died may be read then.
	done chan struct{}
	died *DiedError // nil for status 0

	mu       sync.Mutex
	gone     bool // no signal may be sent any more
	ready    bool
	stopping bool // asked to stop, whatever comes now is no failure
}

// Start starts a server and returns when it answers. ctx ends the starting only:
// a server that is returned runs until Stop, Signal or its own end. When Start
// fails no process is left.
//
// Errors that a user can mend are *DiedError, *StallError, *CPUError, *PlaceError
// and *AnswerError.
func Start(ctx context.Context, o Options) (*Server, error) {
	o, err := o.filled()
	if err != nil {
		return nil, err
	}
	env := EnvOptions{Dir: o.Dir, LibDirs: o.LibDirs, DriverDir: o.DriverDir, GPUs: o.GPUs, HideGPUs: o.HideGPUs}
	if backend := filepath.Join(o.Dir, cudaBackend); !o.HideGPUs {
		if _, err := os.Stat(backend); err == nil {
			env.CUDABackend = backend
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("looking for the CUDA backend: %w", err)
		}
	}
	child, gone := ChildEnv(o.Env, env)
	for _, name := range gone {
		o.Log.Info("variable not passed on", "name", name, "because", "it "+dropped[name])
	}
	for _, dir := range o.LibDirs {
		o.Log.Info("libraries of this host are used", "dir", dir)
	}
	args := ParseArguments(o.Args, o.Model, o.Host, o.Port, child)
	if o.Model == "" && !args.OwnModel && args.Answers == "" {
		return nil, errors.New("no model to serve")
	}
	s := &Server{args: args, grace: o.Grace, log: o.Log, out: newOutput(), done: make(chan struct{})}
	s.cmd = exec.Command(filepath.Join(o.Dir, program), args.Argv...)
	s.cmd.Env, s.cmd.Dir = child, o.WorkDir
	s.cmd.WaitDelay = drainTime
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdout, stderr := &stream{to: s.out, pass: o.Stdout}, &stream{to: s.out, pass: o.Stderr}
	s.cmd.Stdout, s.cmd.Stderr = stdout, stderr

	started := make(chan error, 1)
	go s.run(started, stdout, stderr)
	if err := <-started; err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, &PlaceError{fmt.Sprintf("starting llama-server: %v", err),
				"its file system may be mounted noexec: set LLCUDA_HOME to a folder where programs may run; else " + fixReinstall}
		}
		return nil, fmt.Errorf("starting llama-server: %w", err)
	}
	s.log.Info("llama-server started", "pid", s.cmd.Process.Pid, "args", args.Argv)
	if err := s.awaitReady(ctx, o.ReadyStall); err != nil {
		return nil, err
	}
	if err := s.proveGPU(o.WantGPU); err != nil {
		_ = s.end() // the error that matters is the one below
		return nil, err
	}
	s.log.Info("llama-server ready", "url", s.url, "runs", s.Backends().String())
	return s, nil
}

// run is the life of the process, on one thread: the kernel sends a child its
// parent-death signal when the *thread* that made it ends, and the Go runtime
// ends threads as it likes. This one is kept until the child is gone.
func (s *Server) run(started chan<- error, outputs ...*stream) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := s.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	pid := s.cmd.Process.Pid
	// Wait without reaping: while the dead server keeps its number nobody else
	// can have it, and what is left of its group can be killed safely.
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	s.mu.Lock()
	s.gone = true
	_ = syscall.Kill(-pid, syscall.SIGKILL) // ESRCH where nothing is left
	s.mu.Unlock()
	err := s.cmd.Wait()
	for _, o := range outputs {
		o.flush()
	}
	s.died = s.death(err)
	close(s.done)
}

// death turns the end of the process into an error, nil for status 0.
func (s *Server) death(err error) *DiedError {
	status := s.cmd.ProcessState
	if status == nil || status.Success() {
		return nil // what is in err then is about output after the end
	}
	d := &DiedError{Status: status.ExitCode(), Tail: s.out.last(), Cause: Diagnose(s.out.all())}
	if ws, ok := status.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		d.Signal = ws.Signal()
		if d.Cause.Code == "" {
			d.Cause = bySignal(d.Signal)
		}
	}
	s.mu.Lock()
	d.Ready = s.ready
	s.mu.Unlock()
	return d
}

// proveGPU refuses a server that runs on the CPU where a GPU was wanted.
func (s *Server) proveGPU(want bool) error {
	b := s.Backends()
	switch {
	case !want || b.OnGPU():
		return nil
	case s.args.CPU != "":
		s.args.warn("%s was given: the model runs on the CPU", s.args.CPU)
		return nil
	case !b.Told && s.args.Quiet != "":
		s.args.warn("%s hides what llama-server runs on: that it uses the GPU is not checked", s.args.Quiet)
		return nil
	}
	return &CPUError{Backends: b, Cause: Diagnose(s.out.all()), Tail: s.out.last()}
}

// URL is where this machine reaches the server, with its --api-prefix and without
// a slash at the end: http://127.0.0.1:PORT, or unix:///PATH.
func (s *Server) URL() string { return s.url }

// PID is the server's process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Argv is the server's command line, without the program.
func (s *Server) Argv() []string { return s.args.Argv }

// Warnings are sentences for the user.
func (s *Server) Warnings() []string { return s.args.Warnings }

// Backends is what the server says of its devices so far.
func (s *Server) Backends() Backends { return s.out.backends() }

// Tail is the last lines of its output, 200 at most.
func (s *Server) Tail() []string { return s.out.last() }

// Done is closed when the server is gone.
func (s *Server) Done() <-chan struct{} { return s.done }

package sibling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// Options say what to start.
type Options struct {
	// Program is the file.
	Program string
	Args    []string
	// Env is its whole environment.
	Env []string
	// Grace is how long it may take to stop when asked; 0 is 10 s.
	Grace time.Duration
}

// Conn is a running child. Its methods may be called by one goroutine at a time,
// HangUp by any.
type Conn struct {
	program string
	in      io.WriteCloser
	out     *os.File
	decoder *json.Decoder
	said    *ending
	hangUp  context.CancelFunc
	ended   chan struct{}
	state   *os.ProcessState // once ended is closed
}

// Start starts the program and hears its first word. The child ends with ctx.
func Start(ctx context.Context, o Options) (*Conn, error) {
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &Conn{program: filepath.Base(o.Program), said: &ending{}, hangUp: cancel, ended: make(chan struct{})}
	cmd := exec.CommandContext(ctx, o.Program, o.Args...)
	cmd.Env, cmd.Stderr, cmd.WaitDelay, cmd.SysProcAttr = o.Env, c.said, o.Grace, ownGroup()
	if err := c.start(cmd); err != nil {
		cancel()
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil, &MissingError{Program: o.Program, Err: errors.Unwrap(err)}
		}
		return nil, fmt.Errorf("starting %s: %w", o.Program, err)
	}
	c.decoder = json.NewDecoder(c.out)
	var first hello
	err := c.Receive(&first)
	var stranger *StrangerError
	switch {
	case errors.As(err, &stranger):
	case errors.Is(err, io.EOF):
		err = c.Died()
	case err == nil && first.Protocol != Protocol:
		err = &StrangerError{Program: o.Program, Protocol: first.Protocol, Err: errors.New("its first word names no protocol")}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// start runs the child from a thread that lives as long as it does: the kernel
// sends the parent-death signal when the thread that started it ends.
func (c *Conn) start(cmd *exec.Cmd) error {
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	// A pipe of ours: Wait would close exec's own before all of it is read.
	out, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	c.in, c.out, cmd.Stdout = in, out, theirs
	cmd.Cancel = in.Close
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		theirs.Close()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended is in the state
		c.state = cmd.ProcessState
		close(c.ended)
	}()
	if err := <-started; err != nil {
		_ = in.Close()
		out.Close()
		return err
	}
	return nil
}

// Send says one value.
func (c *Conn) Send(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := c.in.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("telling %s what to do: %w", c.program, err)
	}
	return nil
}

// Receive hears the next value; io.EOF says that the child has no more.
func (c *Conn) Receive(v any) error {
	err := c.decoder.Decode(v)
	if err != nil && !errors.Is(err, io.EOF) {
		return &StrangerError{Program: c.program, Err: err}
	}
	return err
}

// HangUp asks the child to stop. What it still says can be received.
func (c *Conn) HangUp() { c.hangUp() }

// Close asks the child to stop, and waits until it has, or was killed.
func (c *Conn) Close() {
	c.hangUp()
	// A child that is still talking must not wait for a reader.
	_, _ = io.Copy(io.Discard, c.out)
	<-c.ended
	c.out.Close()
}

// Died is the error of a child that ended without the answer that was due.
func (c *Conn) Died() error {
	<-c.ended
	return &DiedError{Program: c.program, How: c.state.String(), Said: c.said.String()}
}

// ending keeps the end of what is written to it.
type ending struct {
	mu   sync.Mutex
	text []byte
}

const endingSize = 4 << 10

func (e *ending) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text = append(e.text, p...)
	if over := len(e.text) - endingSize; over > 0 {
		e.text = append(e.text[:0], e.text[over:]...)
	}
	return len(p), nil
}

func (e *ending) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.text)
}

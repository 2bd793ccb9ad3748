package serve

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Wait returns when the server is gone: nil if it was asked to stop or ended with
// status 0, else a *DiedError.
func (s *Server) Wait() error {
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || s.died == nil {
		return nil
	}
	return s.died
}

// Stop ends the server and returns when it is gone: it is asked to stop, may
// finish what it streams for the time of grace, and is killed with its whole
// group then, or as soon as ctx ends. It may be called again, and at once with
// Signal and Wait. The error says that the process cannot be killed.
func (s *Server) Stop(ctx context.Context) error {
	s.beginStop(syscall.SIGTERM)
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	return s.end()
}

// unkillable is how long a killed process may take to vanish.
const unkillable = 10 * time.Second

// end kills the group at once and waits for its end.
func (s *Server) end() error {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	s.kill("it has no more time")
	timer := time.NewTimer(unkillable + drainTime)
	defer timer.Stop()
	select {
	case <-s.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("process %d does not die: it hangs in the kernel, most often in a driver", s.PID())
	}
}

// Signal passes a signal on to the server. The first SIGINT or SIGTERM begins
// what Stop does, without waiting; the next one kills the group at once.
// (llama-server itself ends at a second one too, by a way that may crash.)
// Signals to a server that is gone do nothing.
func (s *Server) Signal(sig os.Signal) {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return
	}
	if number != syscall.SIGINT && number != syscall.SIGTERM {
		s.send(number)
		return
	}
	if !s.beginStop(number) {
		s.kill("it was asked twice")
	}
}

// beginStop asks the server to stop, once, and sees that it does. It says
// whether it was the first to ask.
func (s *Server) beginStop(sig syscall.Signal) bool {
	s.mu.Lock()
	first := !s.stopping
	s.stopping = true
	s.mu.Unlock()
	if !first {
		return false
	}
	s.log.Info("asking llama-server to stop", "signal", sig.String(), "grace", s.grace)
	s.send(sig)
	go func() { // ends with the server, at the latest when it was killed
		timer := time.NewTimer(s.grace)
		defer timer.Stop()
		select {
		case <-s.done:
		case <-timer.C:
			s.kill(fmt.Sprintf("it was still there %v after it was asked to stop", s.grace))
		}
	}()
	return true
}

// send sends a signal to the server itself, not to its group: whom it started,
// it stops.
func (s *Server) send(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return
	}
	if err := syscall.Kill(s.cmd.Process.Pid, sig); err != nil {
		s.log.Warn("signal not delivered", "signal", sig.String(), "error", err)
	}
}

// kill ends the whole group at once.
func (s *Server) kill(because string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return
	}
	s.log.Warn("killing llama-server", "pid", s.cmd.Process.Pid, "because", because)
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		s.log.Warn("not killed", "error", err)
	}
}

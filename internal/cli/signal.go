package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Signalled is the cause of a context that a signal ended.
type Signalled struct{ Signal os.Signal }

func (s *Signalled) Error() string { return fmt.Sprintf("received %v", s.Signal) }

// Is makes it a context.Canceled for those who return the cause.
func (s *Signalled) Is(target error) bool { return target == context.Canceled }

// WithSignals ends the context at the first SIGINT or SIGTERM; its cause is then
// a *Signalled. After that, signals have their default effect again, so that a
// second Ctrl-C ends a program that does not stop.
func WithSignals(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-ch:
			signal.Stop(ch)
			cancel(&Signalled{s})
		case <-ctx.Done():
			signal.Stop(ch)
		}
	}()
	return ctx, func() { cancel(nil) }
}

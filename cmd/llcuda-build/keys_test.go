package main

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/internal/cli"
)

// Ctrl-C ends the context, and the wait for a password with it.
func TestAnInterruptEndsTheWaitForAPassword(t *testing.T) {
	in, held, err := os.Pipe() // nobody writes, nobody closes
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer held.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := askPassword(ctx, cli.NewStreams(in, io.Discard, io.Discard, nil), "Password: ")
		ended <- err
	}()
	interrupt()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it still waited after ten seconds")
	}
}

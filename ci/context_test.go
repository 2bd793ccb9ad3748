package ci_test

import (
	"context"
	"testing"
)

// contextOf is the test's context with a cancel of its own.
func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

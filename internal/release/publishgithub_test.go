package release

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/release/hubtest"
)

// jump is a clock that does not wait: it goes on to when the wait would end.
type jump struct {
	mu sync.Mutex
	t  time.Time
}

func newJump() *jump { return &jump{t: time.Unix(1_790_000_000, 0)} }

func (c *jump) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *jump) Wait(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
	return ctx.Err()
}

// release is what a test publishes to a fake.
func publication1(t testing.TB, f *hubtest.Hub) (PublishInput, GitHubTarget) {
	clock := newJump()
	f.Now = clock.Now
	return PublishInput{Tag: "v1", DistDir: writeDist(t, "llama"), Key: newKey(t), Tool: "test", Log: logTo{t}},
		GitHubTarget{Name: "owner/repo", Options: hubOptions(f), clock: clock}
}

type logTo struct{ t testing.TB }

func (l logTo) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func TestPublishedOnGitHubReadsBack(t *testing.T) {
	f := hubtest.New(t)
	in, to := publication1(t, f)
	done, err := PublishGitHub(t.Context(), in, to)
	must(t, err)
	t.Logf("%+v", done)
	verified(t, parse(t, "github:owner/repo", hubOptions(f)), "", in.Key)
	_ = bundles.ManifestName
}

func hubOptions(f *hubtest.Hub) Options {
	return Options{Token: secret, GitHubBaseURL: f.URL(), UserAgent: "llcuda-test"}
}

package release

import (
	"context"
	"flag"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/release/hubtest"
)

var kills = flag.Int("kills", 5, "how often a publisher to GitHub is killed; make soak: 100")

// hasty is a clock that runs a thousand times too fast.
type hasty struct{ since time.Time }

func (c hasty) Now() time.Time { return c.since.Add(time.Since(c.since) * 1000) }

func (c hasty) Wait(ctx context.Context, d time.Duration) error {
	return wall{}.Wait(ctx, d/1000)
}

// TestKilledGitHubPublisherConverges kills a publisher (SIGKILL) at random moments:
// on a random request, as it arrives, in the middle of an upload, when it is done
// and not yet answered, or some time after the answer; up to three times in a row,
// while GitHub fails now and then too. What is run again at last is whole, leaves
// nothing behind, and was never public before (hubtest records every state).
func TestKilledGitHubPublisherConverges(t *testing.T) {
	key := newKey(t)
	keyFile := filepath.Join(t.TempDir(), "key")
	must(t, bundles.WriteKeyFiles(keyFile, key, ""))
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	luck := rand.New(rand.NewPCG(seed, 2)) // GitHub's, under its lock
	one, two := writeDist(t, "one"), writeDist(t, "two")
	killed, tried, public := 0, 0, 0
	phases := map[string]int{}
	for killed < *kills {
		if tried++; tried > 3**kills+10 {
			t.Fatalf("%d of %d kills met a publisher: the test does not kill where it means to", killed, tried)
		}
		s := &stand{Hub: hubtest.New(t), t: t, clock: newJump(), in: PublishInput{Tag: "v1", DistDir: one, Key: key, Tool: "test"}}
		s.to = GitHubTarget{Name: "owner/repo", Options: hubOptions(s.Hub), clock: s.clock}
		_, err := s.publish()
		must(t, err)
		s.Tags["v2"] = hubtest.Head
		s.in.Tag, s.in.DistDir = "v2", two
		in := child{s.in, s.URL()}
		in.Repository = repository
		faults := random.IntN(4)
		s.Fault = func(c hubtest.Call) *hubtest.Fault {
			if faults == 0 || luck.IntN(6) > 0 {
				return nil
			}
			faults--
			return &hubtest.Fault{Act: luck.IntN(2) == 0, Status: 502, Starter: isUpload(c) && luck.IntN(2) == 0, Cut: luck.IntN(3) == 0}
		}
		for range 1 + random.IntN(3) {
			var p *publisher
			started := make(chan struct{})
			victim := random.IntN(17) // of some 17 requests
			phase := []string{"arrived", "half", "done", "answered"}[random.IntN(4)]
			late := time.Duration(random.IntN(3000)) * time.Microsecond
			var first int
			s.Do(func() {
				first = len(s.Calls)
				s.Hook = func(n int, now string) {
					if n < first+victim || now != phase {
						return
					}
					<-started
					if phase == "answered" {
						time.AfterFunc(late, func() { p.cmd.Process.Kill() })
						return
					}
					p.cmd.Process.Kill()
				}
			})
			p = startPublisher(t, in, keyFile, "")
			close(started)
			p.until("")
			if p.cmd.Wait(); !p.cmd.ProcessState.Exited() {
				killed++
				phases[phase]++
			}
			s.Do(func() {
				s.Hook = nil
				if len(s.Public["v2"]) > 0 {
					public++
				}
			})
		}
		again := startPublisher(t, in, keyFile, "")
		steps := again.until("")
		if err := again.cmd.Wait(); err != nil {
			t.Fatalf("the last run: %v\n%q", err, steps)
		}
		s.Do(func() { s.Fault = nil }) // readers have their own tests
		if m := s.whole("v2"); m.Sequence != 2 {
			t.Errorf("sequence %d", m.Sequence)
		}
		s.whole("v1")
		if t.Failed() {
			t.Fatalf("seed %d, release %d", seed, tried)
		}
	}
	t.Logf("killed %d publishers of %d releases at random requests: %v; %d runs ended with the release public", killed, tried, phases, public)
}

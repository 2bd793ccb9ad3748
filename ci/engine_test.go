//go:build engine

package ci_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/matrix"
)

// The engine, on this machine, is named by the variables that `make engine`
// prints; LLCUDA_TEST_IMAGE is an image with a shell and ccache that it can pull.
func daggerSuite(t *testing.T) suite {
	t.Helper()
	image := os.Getenv("LLCUDA_TEST_IMAGE")
	if image == "" {
		t.Fatal("LLCUDA_TEST_IMAGE is not set")
	}
	return suite{
		image:  image,
		engine: "dagger",
		hold:   8,
		dirs:   containerDirs,
		builder: func(t *testing.T) ci.Builder {
			b, err := ci.NewDagger(t.Context(), asEngine("dagger"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			return b
		},
	}
}

func TestDaggerBuilder(t *testing.T) { conformance(t, daggerSuite(t)) }

func TestDaggerBuilderAndSignals(t *testing.T) { signals(t, daggerSuite(t)) }

const uuid = "/proc/sys/kernel/random/uuid"

func TestDaggerRunsAgainWhatChangedAndNoMore(t *testing.T) {
	s := daggerSuite(t)
	nonce := rand.Text()
	// A copy of the tree at another place, with other times, is the same tree.
	build := func(name, content string) (prepare, step string) {
		t.Helper()
		c := s.bench(t, name)
		c.nonce = nonce
		write(t, filepath.Join(c.source, "hello.txt"), content)
		write(t, filepath.Join(c.source, ".git", "index"), name)
		write(t, filepath.Join(c.source, "old[1]", "CMakeCache.txt"), name)
		p := c.plan(`test ! -e "$1/.git"; test ! -e "$1/old[1]"; cat `+uuid+` >"$3/step"; cp /prepared "$3/prepare"; touch "$1/scratch" || :`, `test -d /ccache`)
		p.Prepare = []matrix.Step{{Name: "prepare", Args: []string{"sh", "-euc", ": " + nonce + "; cat " + uuid + " >/prepared"}}}
		res, err := s.builder(t).Build(t.Context(), p, c.job())
		if err != nil {
			t.Fatalf("%v\n%s", err, c.log.String())
		}
		if !strings.HasPrefix(res.ImageDigest, "sha256:") || res.ImageRef != s.image {
			t.Errorf("image %q @ %q", res.ImageRef, res.ImageDigest)
		}
		if _, err := os.Stat(filepath.Join(c.source, "scratch")); err == nil {
			t.Error("a step wrote into the source on this machine")
		}
		return read(t, filepath.Join(c.outDir, "prepare")), read(t, filepath.Join(c.outDir, "step"))
	}
	prepare1, step1 := build("one", "hello\n")
	began := time.Now()
	prepare2, step2 := build("two", "hello\n")
	t.Logf("unchanged: %v", time.Since(began))
	prepare3, step3 := build("three", "hullo\n")
	if prepare1 != prepare2 || step1 != step2 {
		t.Error("the same tree was built again")
	}
	if prepare3 != prepare1 {
		t.Error("another tree made the image prepare again")
	}
	if step3 == step1 {
		t.Error("another tree was not built")
	}
}

func TestDaggerImageThatIsNotThere(t *testing.T) {
	s := daggerSuite(t)
	b := s.bench(t, "noimage")
	p := b.plan(`touch "$3/x"`)
	p.Image += "-is-not-there"
	_, err := s.builder(t).Build(t.Context(), p, b.job())
	var missing *ci.ImageError
	if !errors.As(err, &missing) || missing.Image != p.Image {
		t.Errorf("error %v", err)
	}
	b.nothingBut(t)
}

func TestDaggerLeavesNoSessionBehind(t *testing.T) {
	s := daggerSuite(t)
	ctx, cancel := context.WithCancel(t.Context())
	b, err := ci.NewDagger(ctx, asEngine("dagger"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	c := s.bench(t, "late")
	if _, err := b.Build(ctx, c.plan(`touch "$3/x"`), c.job()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	c.nothingBut(t)
}

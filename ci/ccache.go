package ci

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"

	"dagger.io/dagger"

	"github.com/waqasm86/llcuda/matrix"
)

// SaveCcache writes what ccache holds for p's image as a tar to file, after ccache
// has dropped its oldest until maxSize ("1G") is left. A ccache volume lives and
// ends with its engine: this is how the next machine gets one.
func SaveCcache(ctx context.Context, o DaggerOptions, p matrix.Plan, file, maxSize string) error {
	return ccacheRun(ctx, o, p, func(ctr *dagger.Container, _ *dagger.Client) error {
		const script = `export CCACHE_MAXSIZE="$1"; ccache -c >&2; tar -C "$CCACHE_DIR" --exclude=./tmp --exclude='*.lock' -cf /llcuda-ccache.tar .`
		for _, s := range p.Prepare { // ccache itself comes from there
			ctr = ctr.WithExec(s.Args)
		}
		ctr = again(ctr).WithExec([]string{"sh", "-euc", script, "save", maxSize})
		if _, err := ctr.File("/llcuda-ccache.tar").Export(ctx, file); err != nil {
			return fmt.Errorf("saving ccache's files: %w", err)
		}
		return nil
	})
}

// LoadCcache puts what SaveCcache wrote into the ccache volume for p's image.
// Whoever wrote the file decides what a later build that uses ccache is made of:
// it must come from a place that only trusted builds write.
func LoadCcache(ctx context.Context, o DaggerOptions, p matrix.Plan, file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	return ccacheRun(ctx, o, p, func(ctr *dagger.Container, client *dagger.Client) error {
		ctr = again(ctr).WithMountedFile("/llcuda-ccache.tar", client.Host().File(file)).
			WithExec([]string{"sh", "-euc", `tar -C "$CCACHE_DIR" -xf /llcuda-ccache.tar`, "load"})
		if _, err := ctr.Sync(ctx); err != nil {
			return fmt.Errorf("loading ccache's files: %w", err)
		}
		return nil
	})
}

// again makes the next step new to the engine, which knows nothing of what is in
// a cache volume.
func again(ctr *dagger.Container) *dagger.Container {
	return ctr.WithEnvVariable(freshVariable, rand.Text())
}

func ccacheRun(ctx context.Context, o DaggerOptions, p matrix.Plan, do func(*dagger.Container, *dagger.Client) error) error {
	s, err := connect(ctx, o)
	if err != nil {
		return err
	}
	defer s.close(closeLimit)
	c := &containerBuild{plan: p, client: s.client}
	ctr := s.client.Container(dagger.ContainerOpts{Platform: dagger.Platform(p.Cell.Platform)}).From(p.Image)
	return do(c.ccache(ctr), s.client)
}

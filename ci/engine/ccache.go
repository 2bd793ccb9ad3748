package engine

import (
	"context"
	"crypto/rand"
	"fmt"

	"dagger.io/dagger"

	"github.com/waqasm86/llcuda/ci/internal/wire"
	"github.com/waqasm86/llcuda/matrix"
)

// carryCcache saves or loads what ccache holds for the plan's image.
func (c *containerBuild) carryCcache(ctx context.Context) (wire.Done, error) {
	ctr := c.client.Container(dagger.ContainerOpts{Platform: dagger.Platform(c.Plan.Cell.Platform)}).From(c.Plan.Image)
	// As in a build: the plan's variables (CCACHE_DIR among them), its prepare steps, the volume.
	ctr = c.environment(ctr)
	if c.Ccache.Load != "" {
		ctr = again(c.ccache(ctr)).WithMountedFile("/llcuda-ccache.tar", c.client.Host().File(c.Ccache.Load))
		_, err := c.step(ctx, ctr, matrix.Step{Name: "load ccache", Args: []string{"sh", "-euc", `tar -C "$CCACHE_DIR" -xf /llcuda-ccache.tar`, "load"}})
		return wire.Done{}, err
	}
	const script = `export CCACHE_MAXSIZE="$1"; ccache -c >&2; tar -C "$CCACHE_DIR" --exclude=./tmp --exclude='*.lock' -cf /llcuda-ccache.tar .`
	for _, s := range c.Plan.Prepare { // ccache itself comes from there
		ctr = ctr.WithExec(s.Args)
	}
	ctr, err := c.step(ctx, again(c.ccache(ctr)), matrix.Step{Name: "save ccache", Args: []string{"sh", "-euc", script, "save", c.Ccache.MaxSize}})
	if err != nil {
		return wire.Done{}, err
	}
	if _, err := ctr.File("/llcuda-ccache.tar").Export(ctx, c.Ccache.Save); err != nil {
		return wire.Done{}, fmt.Errorf("saving ccache's files: %w", err)
	}
	return wire.Done{}, nil
}

// again makes the next step new to the engine, which knows nothing of what is in
// a cache volume.
func again(ctr *dagger.Container) *dagger.Container {
	return ctr.WithEnvVariable(freshVariable, rand.Text())
}

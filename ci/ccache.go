package ci

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/waqasm86/llcuda/ci/internal/wire"
	"github.com/waqasm86/llcuda/matrix"
)

// SaveCcache writes what ccache holds for p's image as a tar to file, after ccache
// has dropped its oldest until maxSize ("1G") is left. A ccache volume lives and
// ends with its engine: this is how the next machine gets one.
func SaveCcache(ctx context.Context, o DaggerOptions, p matrix.Plan, file, maxSize string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	return carryCcache(ctx, o, p, wire.Ccache{Save: file, MaxSize: maxSize})
}

// LoadCcache puts what SaveCcache wrote into the ccache volume for p's image.
// Whoever wrote the file decides what a later build that uses ccache is made of:
// it must come from a place that only trusted builds write.
func LoadCcache(ctx context.Context, o DaggerOptions, p matrix.Plan, file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	return carryCcache(ctx, o, p, wire.Ccache{Load: file})
}

func carryCcache(ctx context.Context, o DaggerOptions, p matrix.Plan, job wire.Ccache) error {
	b := &daggerBuilder{options: o}
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, conn.HangUp)()
	_, err = b.follow(conn, wire.Build{Plan: p, Dirs: p.Dirs, Ccache: &job}, newReport(p.Cell.ID, Job{}))
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("carrying ccache's files: %w", ctx.Err())
	}
	return err
}

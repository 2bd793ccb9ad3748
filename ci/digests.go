package ci

import (
	"context"
	"errors"
	"fmt"

	"github.com/waqasm86/llcuda/ci/internal/wire"
	"github.com/waqasm86/llcuda/internal/sibling"
)

// DigestError says that an image has no digest that could be locked.
type DigestError struct {
	Image string
	// Text says why, Cure what to do.
	Text, Cure string
}

func (e *DigestError) Error() string { return e.Text }

// Hint says what to do.
func (e *DigestError) Hint() string { return e.Cure }

// Digests asks the registries, through llcuda-engine, for the digests of images on
// one platform, and tells heard of each. All are asked; the errors are joined.
func Digests(ctx context.Context, o DaggerOptions, images []string, platform string, heard func(image, digest string)) error {
	conn, err := startEngine(ctx, o, wire.CommandDigest)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Send(wire.Digests{Images: images, Platform: platform}); err != nil {
		return err
	}
	var errs []error
	for range images {
		e, err := hear(conn)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("asking the registries: %w", ctx.Err())
		case err != nil:
			return errors.Join(append(errs, err)...)
		case e.Digest != nil:
			heard(e.Digest.Image, e.Digest.Digest)
		case e.Failed != nil:
			errs = append(errs, &DigestError{Image: e.Failed.Image, Text: e.Failed.Text, Cure: e.Failed.Hint})
		default:
			return &sibling.StrangerError{Program: o.Program, Err: errors.New("it answers with neither digest nor error")}
		}
	}
	return errors.Join(errs...)
}

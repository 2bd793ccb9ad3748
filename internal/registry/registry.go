// Package registry turns an image reference into the digest of the exact image
// that it stands for, as the real registry gives it.
//
// It asks the registry that the reference names (Docker Hub for a bare name) over
// HTTPS, anonymously, and never a mirror: what a lock file records must be what
// everybody gets. An image that says of itself that it only stands in for
// another is refused with a *StandInError. It pulls nothing but the manifest and
// the image's configuration, and trusts the registry for what a tag means; the
// digest then holds the content.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// StandInLabel marks an image of ours that stands in for another.
const StandInLabel = "org.llcuda.stand-in"

// Options of Digest.
type Options struct {
	// Client is what asks; nil is one that tries again at passing troubles.
	Client *http.Client
	// PlainHTTP talks to a registry without TLS: for tests.
	PlainHTTP bool
}

// StandInError says that an image is not what its name says.
type StandInError struct{ Image string }

func (e *StandInError) Error() string {
	return fmt.Sprintf("image %s is a stand-in (label %s): it cannot be locked", e.Image, StandInLabel)
}

// Hint says what to do.
func (e *StandInError) Hint() string {
	return "lock images on a machine that reaches the real registry"
}

// AskError says that a registry did not answer, or not with an image.
type AskError struct {
	Image string
	Err   error
}

func (e *AskError) Error() string {
	return fmt.Sprintf("asking the registry for %s: %v", e.Image, e.Err)
}
func (e *AskError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *AskError) Hint() string {
	return "check the name and the network; the lock is left as it was"
}

// Digest is the digest of image's manifest for a platform ("linux/amd64").
func Digest(ctx context.Context, image, platform string, o Options) (string, error) {
	digest, err := digest(ctx, image, platform, o)
	var standIn *StandInError
	if err != nil && !errors.As(err, &standIn) {
		return "", &AskError{Image: image, Err: err}
	}
	return digest, err
}

func digest(ctx context.Context, image, platform string, o Options) (string, error) {
	name, tag := split(image)
	repo, err := remote.NewRepository(name)
	if err != nil {
		return "", err
	}
	repo.PlainHTTP = o.PlainHTTP
	client := &auth.Client{Client: o.Client, Cache: auth.NewCache()}
	if client.Client == nil {
		client.Client = retry.DefaultClient
	}
	client.SetUserAgent("llcuda-build")
	repo.Client = client

	system, arch, ok := strings.Cut(platform, "/")
	if !ok {
		return "", fmt.Errorf("platform %q is not of the form linux/amd64", platform)
	}
	manifest, err := oras.Resolve(ctx, repo, tag, oras.ResolveOptions{TargetPlatform: &ocispec.Platform{OS: system, Architecture: arch}})
	if err != nil {
		return "", err
	}
	labels, err := labels(ctx, repo, manifest)
	if err != nil {
		return "", err
	}
	if labels[StandInLabel] != "" {
		return "", &StandInError{Image: image}
	}
	return manifest.Digest.String(), nil
}

// labels are those of the image's configuration.
func labels(ctx context.Context, repo *remote.Repository, manifest ocispec.Descriptor) (map[string]string, error) {
	data, err := content.FetchAll(ctx, repo, manifest)
	if err != nil {
		return nil, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("its manifest: %w", err)
	}
	if data, err = content.FetchAll(ctx, repo, m.Config); err != nil {
		return nil, err
	}
	var config ocispec.Image
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("its configuration: %w", err)
	}
	return config.Config.Labels, nil
}

// split gives a bare reference its registry, as Docker does, and takes the tag off.
func split(image string) (name, tag string) {
	name, tag = image, "latest"
	if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
		name, tag = image[:i], image[i+1:]
	}
	first, _, nested := strings.Cut(name, "/")
	switch {
	case !nested:
		name = "docker.io/library/" + name
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		name = "docker.io/" + name
	}
	return name, tag
}

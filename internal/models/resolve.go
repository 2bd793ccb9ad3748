package models

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/waqasm86/llcuda/internal/gguf"
	"github.com/waqasm86/llcuda/internal/hub"
)

// Options of Resolve.
type Options struct {
	// CacheDir is where the built-in model and files from plain addresses are
	// written: CacheDir/models/. It is made when needed.
	CacheDir string
	// Hub makes the client of the hub; it is called only where the hub's cache
	// or the hub is needed.
	Hub func() (*hub.Client, error)
	// Refresh asks the hub also for what the cache has.
	Refresh bool
	// Note is told what a user should know, a sentence at a time; nil = nobody.
	Note func(string)
	// Progress is told what is done to which file, in bytes; nil = nobody.
	Progress func(file, step string, done, total int64)
	// Finished is told that nothing more is done to a file; nil = nobody.
	Finished func(file string)
	// FreeSpace tells the bytes that may still be written below dir; nil = ask
	// the file system.
	FreeSpace func(dir string) (uint64, error)
}

// Model is a file that a server can load.
type Model struct {
	// Path is absolute; for a split model it is the first part's.
	Path string
	// Name is for people: the model's own name, else the file's.
	Name string
	// Size is in bytes, of all parts together.
	Size int64
	// Header is the first part's.
	Header gguf.Header
	// Parts holds the paths of all parts, Path first.
	Parts []string
	// Origin is the hub's file, of a split model the first part's; nil where
	// the model is not from the hub.
	Origin *hub.File
}

// Resolve finds the model that was named, and downloads it where it is not here.
// Errors that a user can mend have Hint and ExitCode: *SpecError, *AliasError,
// *QuantError, *ChangedError, *NotFoundError, *NotServableError, *URLError,
// *gguf.DamagedError and those of package hub.
func Resolve(ctx context.Context, raw string, o Options) (Model, error) {
	spec, err := ParseSpec(raw)
	if err != nil {
		return Model{}, err
	}
	if err := ctx.Err(); err != nil {
		return Model{}, err
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	if o.Progress == nil {
		o.Progress = func(string, string, int64, int64) {}
	}
	if o.Finished == nil {
		o.Finished = func(string) {}
	}
	switch spec.Kind {
	case KindPath:
		return local(ctx, spec.Path)
	case KindTiny:
		path, err := writeTiny(o.CacheDir)
		if err != nil {
			return Model{}, err
		}
		return local(ctx, path)
	}
	want, err := wantedOf(spec)
	if err != nil {
		return Model{}, err
	}
	if o.Hub == nil {
		return Model{}, fmt.Errorf("%s cannot be looked for: there is no hub here", raw)
	}
	client, err := o.Hub()
	if err != nil {
		return Model{}, err
	}
	if spec.Kind == KindURL {
		repo, revision, file, ok := ofHub(spec.URL, client.Endpoint())
		if !ok {
			return fromURL(ctx, spec, client.Offline(), o)
		}
		want = wanted{repo: repo, revision: revision, file: file, sha256: spec.SHA256}
	}
	return (&search{c: client, o: o, want: want}).find(ctx)
}

// local checks a model that lies on this machine, all parts of it.
func local(ctx context.Context, path string) (Model, error) {
	header, err := checkPart(path)
	if err != nil {
		return Model{}, err
	}
	if err := servable(path, header); err != nil {
		return Model{}, err
	}
	parts, err := header.Parts(path)
	if err != nil {
		return Model{}, err
	}
	m := Model{Path: parts[0], Header: header, Size: header.Size}
	if len(parts) > 1 {
		m.Size = 0
	}
	for i, part := range parts {
		if err := ctx.Err(); err != nil {
			return Model{}, err
		}
		abs, err := filepath.Abs(part)
		if err != nil {
			return Model{}, fmt.Errorf("finding %s: %w", part, err)
		}
		m.Parts = append(m.Parts, abs)
		if len(parts) == 1 {
			continue
		}
		h, err := checkPart(part)
		if missing := (*NotFoundError)(nil); errors.As(err, &missing) {
			missing.Why = fmt.Sprintf("it is part %d of %d of the model", i+1, len(parts))
			missing.Cure = "download all parts of the model into one folder"
			return Model{}, missing
		}
		if err != nil {
			return Model{}, err
		}
		if i == 0 {
			m.Header = h
		}
		m.Size += h.Size
	}
	m.Path = m.Parts[0]
	m.Name = m.Header.Name
	if m.Name == "" {
		m.Name = strings.TrimSuffix(filepath.Base(m.Path), filepath.Ext(m.Path))
	}
	return m, nil
}

// checkPart checks one file and puts the file system's refusals into words.
func checkPart(path string) (gguf.Header, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(path, "~"):
		return gguf.Header{}, &NotFoundError{path, "the ~ came here unexpanded", "write $HOME in place of ~, or leave the quotes away", err}
	case errors.Is(err, fs.ErrNotExist):
		if st, lerr := os.Lstat(path); lerr == nil && st.Mode()&fs.ModeSymlink != 0 {
			return gguf.Header{}, &NotFoundError{path, "it is a link to a file that is gone", "download the model again, or repair the link", err}
		}
		return gguf.Header{}, &NotFoundError{path, "there is no such file", "check the path; or pass tiny to try the built-in model", err}
	case errors.Is(err, fs.ErrPermission):
		return gguf.Header{}, denied(path, err)
	case err != nil:
		return gguf.Header{}, &NotFoundError{path, err.Error(), "check the path", err}
	case st.IsDir():
		return gguf.Header{}, &NotFoundError{Path: path, Why: "it is a directory", Cure: inside(path)}
	}
	h, err := gguf.CheckFile(path)
	if errors.Is(err, fs.ErrPermission) {
		return gguf.Header{}, denied(path, err)
	}
	return h, err
}

func denied(path string, err error) error {
	return &NotFoundError{path, "it may not be read by you", fmt.Sprintf("allow it: chmod +r %q, and +x on the folders above", path), err}
}

// inside says which models a directory holds, a few at most.
func inside(dir string) string {
	found, _ := filepath.Glob(filepath.Join(dir, "*.gguf")) // the pattern's only error is a [ in the folder's name
	switch {
	case len(found) == 0:
		return "give the path of a .gguf file"
	case len(found) == 1:
		return fmt.Sprintf("give the file in it: %s", found[0])
	case len(found) > 5:
		return fmt.Sprintf("give one of the %d .gguf files in it, such as %s", len(found), found[0])
	default:
		return "give one of the files in it: " + strings.Join(found, ", ")
	}
}

// servable refuses files that are GGUF and go beside a model.
func servable(path string, h gguf.Header) error {
	switch {
	case h.Architecture == "clip" || h.Type == "mmproj":
		return &NotServableError{path, "a multimodal projector, which goes beside a model", fmt.Sprintf("serve the model and add: -- --mmproj %s", path)}
	case h.Type == "adapter":
		return &NotServableError{path, "a LoRA adapter, which goes on top of a model", fmt.Sprintf("serve the base model and add: -- --lora %s", path)}
	case h.Type == "imatrix":
		return &NotServableError{path, "an importance matrix, which is for making quantised models", "give the path of the model"}
	case h.Tensors == 0 && !h.IsSplit(): // a split model's first part may hold metadata alone
		return &NotServableError{path, "a GGUF file without weights (a vocabulary only)", "give the path of the whole model"}
	}
	return nil
}

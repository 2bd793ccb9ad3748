package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/waqasm86/llcuda/matrix"
)

// remote serves URL[@REF].
func (r *resolver) remote(ctx context.Context, address, ref string) (Tree, error) {
	id := matrix.SourceID{URL: publicURL(address), Ref: ref}
	shelf, err := r.shelf("git " + address)
	if err != nil {
		return Tree{}, err
	}
	if commitID.MatchString(ref) {
		id.Ref, id.Commit = "", ref
		if dir, ok := shelf.have(ctx, r.git, ref); ok {
			return Tree{Dir: dir, ID: id}, nil
		}
		dir, _, err := r.take(ctx, shelf, address, served{commit: ref})
		return Tree{Dir: dir, ID: id}, err
	}
	refs, err := r.git.list(ctx, address, patterns(ref)...)
	var unreachable *RepositoryError
	if errors.As(err, &unreachable) {
		commit := shelf.noted(ref)
		if dir, ok := shelf.have(ctx, r.git, commit); ok {
			r.say("%v; using the copy of %s fetched before", unreachable, commit)
			id.Commit = commit
			return Tree{Dir: dir, ID: id}, nil
		}
	}
	if err != nil {
		return Tree{}, err
	}
	name, commit, ok := refs.find(ref)
	if !ok {
		all, err := r.git.list(ctx, address)
		if err != nil {
			return Tree{}, err
		}
		return Tree{}, &RefError{Repository: redact(address), Ref: ref, Known: all.names()}
	}
	dir, have := shelf.have(ctx, r.git, commit)
	if !have {
		if dir, commit, err = r.take(ctx, shelf, address, served{name, commit}); err != nil {
			return Tree{}, err
		}
	}
	id.Commit = commit
	return Tree{Dir: dir, ID: id}, shelf.note(ref, commit)
}

// patterns narrow ls-remote to what find looks at.
func patterns(ref string) []string {
	if ref == "" {
		return []string{"HEAD"}
	}
	// A name matches at its end, so these are few; "^{}" is a tag's commit.
	return []string{ref, ref + "^{}"}
}

// bundle serves a git bundle file. The shelf is named by the file's content, so
// what a ref stood at once, it stands at for ever.
func (r *resolver) bundle(ctx context.Context, path, ref string) (Tree, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Tree{}, fmt.Errorf("source: %w", err)
	}
	sum, err := contentSum(path, "")
	if err != nil {
		return Tree{}, fmt.Errorf("source: %w", err)
	}
	shelf, err := r.shelf("bundle " + sum)
	if err != nil {
		return Tree{}, err
	}
	commit := shelf.noted(ref)
	dir, have := shelf.have(ctx, r.git, commit)
	if !have {
		refs, err := r.git.list(ctx, path)
		if err != nil {
			return Tree{}, err
		}
		object, ok := refs.pick(ref)
		if !ok {
			return Tree{}, &RefError{Repository: path, Ref: ref, Known: refs.names()}
		}
		if dir, commit, err = r.take(ctx, shelf, path, bundled{refs, object}); err != nil {
			return Tree{}, err
		}
		if err := shelf.note(ref, commit); err != nil {
			return Tree{}, err
		}
	}
	t := Tree{Dir: dir, ID: matrix.SourceID{URL: "bundle:" + filepath.Base(path), Ref: ref, Commit: commit}}
	if ref == "" || commitID.MatchString(ref) {
		tags, err := r.git.run(ctx, dir, "tag", "--points-at", "HEAD")
		if err != nil {
			return Tree{}, repositoryError(path, err)
		}
		t.ID.Ref = bestTag(strings.Fields(tags))
	}
	return t, nil
}

// origin is how a commit comes out of a repository into a new one.
type origin interface {
	// fetch brings it into work and says which commit it is.
	fetch(ctx context.Context, g git, work, address string) (commit string, err error)
}

// served is a commit of a repository that is asked over its protocol.
type served struct {
	// name is the full ref name that the commit stood at a moment ago; "" where
	// only the commit is known.
	name, commit string
}

func (o served) fetch(ctx context.Context, g git, work, address string) (string, error) {
	fetch := func(args ...string) error { return g.fetch(ctx, work, args...) }
	// The commit itself; else its name, which may have moved on meanwhile; else,
	// where a server gives out names only, everything there is.
	err := fetch("--depth=1", "--", address, o.commit)
	if err != nil && ctx.Err() == nil && o.name != "" {
		if err = fetch("--depth=1", "--", address, "+"+o.name+":refs/llcuda/ref"); err == nil {
			return g.run(ctx, work, "rev-parse", "--verify", "refs/llcuda/ref^{commit}")
		}
	}
	var refused *gitError
	if errors.As(err, &refused) && strings.Contains(refused.said, "unadvertised object") {
		err = fetch("--", address, "+refs/*:refs/llcuda/*")
	}
	if errors.As(err, &refused) && strings.Contains(refused.said, "not our ref") {
		return "", &RefError{Repository: redact(address), Ref: o.commit}
	}
	if err != nil {
		return "", repositoryError(address, err)
	}
	return g.peel(ctx, work, address, o.commit)
}

// bundled is an object of a bundle file: a commit or a tag of one.
type bundled struct {
	refs   advertised
	object string
}

func (o bundled) fetch(ctx context.Context, g git, work, path string) (string, error) {
	if _, err := g.run(ctx, work, "bundle", "verify", "--quiet", path); err != nil {
		return "", repositoryError(path, err)
	}
	specs := []string{"--", path, "+refs/*:refs/llcuda/refs/*", "+refs/tags/*:refs/tags/*"}
	if _, ok := o.refs["HEAD"]; ok {
		specs = append(specs, "+HEAD:refs/llcuda/HEAD")
	}
	if err := g.fetch(ctx, work, specs...); err != nil {
		return "", repositoryError(path, err)
	}
	return g.peel(ctx, work, path, o.object)
}

func (g git) fetch(ctx context.Context, work string, args ...string) error {
	_, err := g.run(ctx, work, append([]string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"}, args...)...)
	return err
}

// peel is the commit of an object that must have come.
func (g git) peel(ctx context.Context, work, address, object string) (string, error) {
	commit, err := g.run(ctx, work, "rev-parse", "--verify", "--quiet", object+"^{commit}")
	var failed *gitError
	if errors.As(err, &failed) {
		return "", &RefError{Repository: redact(address), Ref: object}
	}
	return commit, err
}

// take fetches a commit, checks it out and puts it on the shelf.
func (r *resolver) take(ctx context.Context, s shelf, address string, o origin) (dir, commit string, err error) {
	r.say("fetching from %s", redact(address))
	st, err := s.stage()
	if err != nil {
		return "", "", err
	}
	defer st.close()
	work := filepath.Join(st.path, "tree")
	if _, err := r.git.run(ctx, "", "init", "--quiet", "--template=", "--", work); err != nil {
		return "", "", err
	}
	if commit, err = o.fetch(ctx, r.git, work, address); err != nil {
		return "", "", err
	}
	if _, err := r.git.run(ctx, work, "checkout", "--quiet", "--force", "--detach", commit, "--"); err != nil {
		return "", "", repositoryError(address, err)
	}
	dir, err = s.place(ctx, r.git, work, commit)
	return dir, commit, err
}

// shelf is where the trees of one repository lie: a folder for each commit, and
// for each ref a file with the commit that it stood at last.
type shelf struct{ path string }

func (r *resolver) shelf(key string) (shelf, error) {
	if r.CacheDir == "" {
		return shelf{}, errors.New("source: no cache folder to fetch into")
	}
	root, err := filepath.Abs(r.CacheDir)
	if err != nil {
		return shelf{}, fmt.Errorf("source: %w", err)
	}
	s := shelf{filepath.Join(root, "src", short(key))}
	if err := os.MkdirAll(s.path, 0o755); err != nil {
		return shelf{}, fmt.Errorf("source: %w", err)
	}
	s.sweep()
	return s, nil
}

func short(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:12])
}

// have finds a commit's tree. A build may have left files in it, or somebody may
// have edited it: it is put back to the commit before it is given out.
func (s shelf) have(ctx context.Context, g git, commit string) (string, bool) {
	if !commitID.MatchString(commit) {
		return "", false
	}
	dir := filepath.Join(s.path, commit)
	if _, err := os.Stat(filepath.Join(dir, ".git")); err != nil {
		return "", false
	}
	head, err := g.run(ctx, dir, "rev-parse", "--verify", "HEAD^{commit}")
	if err != nil || head != commit {
		return "", false
	}
	status, err := g.run(ctx, dir, "status", "--porcelain", "--ignored")
	if err == nil && status != "" {
		if _, err = g.run(ctx, dir, "reset", "--quiet", "--hard", commit); err == nil {
			_, err = g.run(ctx, dir, "clean", "--quiet", "-ffdx")
		}
	}
	return dir, err == nil
}

// place gives a finished tree its name. Where another process was faster, its
// tree is as good.
func (s shelf) place(ctx context.Context, g git, work, commit string) (string, error) {
	dir := filepath.Join(s.path, commit)
	err := os.Rename(work, dir)
	if err == nil {
		return dir, nil
	}
	if there, ok := s.have(ctx, g, commit); ok { // it came just now
		return there, nil
	}
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("source: keeping what was fetched: %w", err)
	}
	// What is there is broken.
	if _, statErr := os.Stat(filepath.Join(dir, ".git", "HEAD")); statErr != nil {
		if rmErr := os.RemoveAll(dir); rmErr == nil {
			err = os.Rename(work, dir)
		}
	} else {
		old := filepath.Join(filepath.Dir(work), "old")
		if err = os.Rename(dir, old); err == nil {
			err = os.Rename(work, dir)
		}
	}
	if err != nil {
		return "", fmt.Errorf("source: keeping what was fetched: %w", err)
	}
	return dir, nil
}

func (s shelf) refFile(ref string) string { return filepath.Join(s.path, "ref-"+short(ref)) }

// noted is the commit that ref stood at last; "" where that is not known.
func (s shelf) noted(ref string) string {
	f, err := os.Open(s.refFile(ref))
	if err != nil {
		return ""
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, 128))
	commit := strings.TrimSpace(string(data))
	if !commitID.MatchString(commit) {
		return ""
	}
	return commit
}

// note keeps the commit of ref for a day without network.
func (s shelf) note(ref, commit string) error {
	if s.noted(ref) == commit {
		return nil
	}
	st, err := s.stage()
	if err != nil {
		return err
	}
	defer st.close()
	tmp := filepath.Join(st.path, "ref")
	if err := os.WriteFile(tmp, []byte(commit+"\n"), 0o644); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if err := os.Rename(tmp, s.refFile(ref)); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	return nil
}

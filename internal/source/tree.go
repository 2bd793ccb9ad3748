package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/waqasm86/llcuda/matrix"
)

// BuildDirs are the folders at the root of dir that cmake made: they hold a
// CMakeCache.txt. They are not source; builders leave them out.
func BuildDirs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var builds []string
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if st, err := os.Stat(filepath.Join(dir, e.Name(), "CMakeCache.txt")); err == nil && st.Mode().IsRegular() {
			builds = append(builds, e.Name())
		}
	}
	return builds, nil
}

// directory takes a folder as it is.
func (r *resolver) directory(ctx context.Context, path string) (Tree, error) {
	dir, err := filepath.Abs(path)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return Tree{}, fmt.Errorf("source: %w", err)
	}
	t := Tree{Dir: dir}
	changed := "it is not a git checkout"
	if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
		t.ID, changed, err = r.checkout(ctx, dir)
		var missing *GitMissingError
		switch {
		case errors.As(err, &missing):
			changed = "git is not there to ask for the commit"
		case err != nil:
			return Tree{}, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Tree{}, fmt.Errorf("source: %w", err)
	}
	if changed != "" {
		if t.ID.Tree, err = digest(ctx, dir); err != nil {
			return Tree{}, fmt.Errorf("source %s: %w", path, err)
		}
		r.say("%s is known by its files (%s): %s", path, t.ID.Tree[:len("sha256:")+12], changed)
	}
	return t, nil
}

// checkout reads the identity of a git work tree. changed says why the commit
// alone does not tell what is in it; "" where it does.
func (r *resolver) checkout(ctx context.Context, dir string) (id matrix.SourceID, changed string, err error) {
	top, err := r.git.run(ctx, dir, "rev-parse", "--show-toplevel")
	if err == nil {
		top, err = filepath.EvalSymlinks(top)
	}
	var failed *gitError
	switch {
	case errors.As(err, &failed), err == nil && top != dir:
		return id, "git does not take it for a checkout", nil
	case err != nil:
		return id, "", err
	}
	commit, err := r.git.run(ctx, dir, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if errors.As(err, &failed) {
		return id, "it has no commit", nil
	}
	if err != nil {
		return id, "", err
	}
	id.Commit = commit
	if origin, err := r.git.run(ctx, dir, "config", "--get", "remote.origin.url"); err == nil {
		id.URL = publicURL(origin)
	}
	if tags, err := r.git.run(ctx, dir, "tag", "--points-at", "HEAD"); err == nil {
		id.Ref = bestTag(strings.Fields(tags))
	}
	changed, err = r.changes(ctx, dir)
	return id, changed, err
}

// changes says what in a checkout is not of its commit. Ignored files count, for
// a build sees them; cmake's build folders do not.
func (r *resolver) changes(ctx context.Context, dir string) (string, error) {
	out, err := r.git.run(ctx, dir, "status", "--porcelain=v1", "-z", "--untracked-files=normal", "--ignored=traditional")
	if err != nil {
		return "", repositoryError(dir, err)
	}
	builds, err := BuildDirs(dir)
	if err != nil {
		return "", fmt.Errorf("source: %w", err)
	}
	for entry := range strings.SplitSeq(out, "\x00") {
		if len(entry) < 4 {
			continue
		}
		state, name := entry[:2], strings.TrimSuffix(entry[3:], "/")
		if root, _, _ := strings.Cut(name, "/"); (state == "!!" || state == "??") && contains(builds, root) {
			continue
		}
		if state == "!!" {
			return "it holds files that git ignores, such as " + name, nil
		}
		return "it has changes, such as " + name, nil
	}
	// status does not look at files marked assume-unchanged ("h") or skip-worktree
	// ("S", "s"; a sparse checkout's), whatever became of them.
	out, err = r.git.run(ctx, dir, "ls-files", "-v", "-z")
	if err != nil {
		return "", repositoryError(dir, err)
	}
	for entry := range strings.SplitSeq(out, "\x00") {
		if tag, name, ok := strings.Cut(entry, " "); ok && (tag == "S" || tag != strings.ToUpper(tag)) {
			return "git was told not to look at some of its files, such as " + name, nil
		}
	}
	return "", nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// digest is "sha256:…" over the files of dir, sorted by path: for each its mode
// as git writes it, its path, and the SHA-256 of its content (a link's content
// is its target). .git and cmake's build folders are left out; empty folders,
// owners and times do not count.
func digest(ctx context.Context, dir string) (string, error) {
	builds, err := BuildDirs(dir)
	if err != nil {
		return "", err
	}
	type file struct{ path, mode string }
	var files []file
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case d.Name() == ".git" && path != dir:
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			if contains(builds, rel) {
				return filepath.SkipDir
			}
			return ctx.Err()
		case d.Type() == fs.ModeSymlink:
			files = append(files, file{rel, "120000"})
		case d.Type().IsRegular():
			info, err := d.Info()
			if err != nil {
				return err
			}
			mode := "100644"
			if info.Mode()&0o100 != 0 {
				mode = "100755"
			}
			files = append(files, file{rel, mode})
		default:
			return fmt.Errorf("%s is neither file, folder nor link", rel)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	sort.Slice(files, func(i, j int) bool { return files[i].path < files[j].path })
	// A folder of 200 MB is read on all cores.
	sums := make([]string, len(files))
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for i, f := range files {
		g.Go(func() (err error) {
			if err = ctx.Err(); err == nil {
				sums[i], err = contentSum(filepath.Join(dir, filepath.FromSlash(f.path)), f.mode)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	all := sha256.New()
	for i, f := range files {
		fmt.Fprintf(all, "%s %s\x00%s\n", f.mode, f.path, sums[i])
	}
	return "sha256:" + hex.EncodeToString(all.Sum(nil)), nil
}

func contentSum(path, mode string) (string, error) {
	h := sha256.New()
	if mode == "120000" {
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		io.WriteString(h, target)
		return hex.EncodeToString(h.Sum(nil)), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

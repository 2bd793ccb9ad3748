package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// The layout of a repository in the cache, see huggingface_hub's guide
// "Understand caching":
//
//	models--OWNER--REPO/blobs/<sha256>                the bytes of an LFS file
//	models--OWNER--REPO/refs/main                     the commit that main was, last we looked
//	models--OWNER--REPO/snapshots/<commit>/<path>     a relative link into blobs
//	.locks/models--OWNER--REPO/<sha256>.lock          flock(2), held while a blob is written
const (
	blobsDir     = "blobs"
	refsDir      = "refs"
	snapshotsDir = "snapshots"
	locksDir     = ".locks"
	folderPrefix = "models--"
)

func folder(repo string) string { return folderPrefix + strings.ReplaceAll(repo, "/", "--") }

// repoOf is the repository of a folder of the cache.
func repoOf(folder string) (string, bool) {
	owner, name, ok := strings.Cut(strings.TrimPrefix(folder, folderPrefix), "--")
	return owner + "/" + name, ok && strings.HasPrefix(folder, folderPrefix) && owner != "" && name != ""
}

func (c *Client) repoDir(repo string) string { return filepath.Join(c.o.CacheDir, folder(repo)) }

func (c *Client) blob(f File) string {
	return filepath.Join(c.repoDir(f.Repo), blobsDir, f.SHA256)
}

func (c *Client) snapshot(f File) string {
	return filepath.Join(c.repoDir(f.Repo), snapshotsDir, f.Commit, filepath.FromSlash(f.Path))
}

// Ref is the commit that the cache has for a revision; a commit is its own.
func (c *Client) Ref(repo, revision string) (commit string, ok bool) {
	if IsCommit(revision) {
		return revision, true
	}
	if !isInside(revision) {
		return "", false
	}
	data, err := os.ReadFile(filepath.Join(c.repoDir(repo), refsDir, filepath.FromSlash(revision)))
	commit = strings.TrimSpace(string(data))
	return commit, err == nil && IsCommit(commit)
}

// Cached is a file that the cache holds.
type Cached struct {
	File
	// Link is the path in the snapshot, which ends in the file's own name;
	// Real is where its bytes are.
	Link, Real string
}

// Lookup finds a file in the cache. SHA256 is set where the cache's layout says
// what the file should be: the name of its blob. What lies there is not checked.
func (c *Client) Lookup(repo, revision, file string) (Cached, bool) {
	commit, ok := c.Ref(repo, revision)
	if !ok || !isInside(file) || CheckRepo(repo) != nil {
		return Cached{}, false
	}
	return c.at(File{Repo: repo, Commit: commit, Path: file, Revision: revision})
}

func (c *Client) at(f File) (Cached, bool) {
	link := c.snapshot(f)
	real, err := filepath.EvalSymlinks(link)
	if err != nil {
		return Cached{}, false
	}
	st, err := os.Stat(real)
	if err != nil || !st.Mode().IsRegular() {
		return Cached{}, false
	}
	f.Size, f.SHA256 = st.Size(), ""
	if name := filepath.Base(real); isHex(name, 64) && filepath.Base(filepath.Dir(real)) == blobsDir {
		f.SHA256 = name
	}
	return Cached{File: f, Link: link, Real: real}, true
}

// Find looks for a file with these bytes in every snapshot of a repository.
func (c *Client) Find(repo, file, sha256 string) (Cached, bool) {
	if !isInside(file) || CheckRepo(repo) != nil {
		return Cached{}, false
	}
	snapshots, _ := os.ReadDir(filepath.Join(c.repoDir(repo), snapshotsDir)) // none: nothing is found
	for _, s := range snapshots {
		found, ok := c.at(File{Repo: repo, Commit: s.Name(), Revision: s.Name(), Path: file})
		if ok && found.SHA256 == sha256 {
			return found, true
		}
	}
	return Cached{}, false
}

// Files lists what the cache holds of a revision, GGUF files only.
func (c *Client) Files(repo, revision string) []Cached {
	commit, ok := c.Ref(repo, revision)
	if !ok || CheckRepo(repo) != nil {
		return nil
	}
	var list []Cached
	root := filepath.Join(c.repoDir(repo), snapshotsDir, commit)
	_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.EqualFold(filepath.Ext(p), ".gguf") {
			return nil // what cannot be read is not there for us
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return nil
		}
		if f, ok := c.at(File{Repo: repo, Commit: commit, Revision: revision, Path: filepath.ToSlash(rel)}); ok {
			list = append(list, f)
		}
		return nil
	})
	return list
}

// List lists the GGUF files of all repositories in the cache, each once, by
// the newest name: main's if there is one.
func (c *Client) List() []Cached {
	var list []Cached
	folders, _ := os.ReadDir(c.o.CacheDir) // none: nothing is cached
	for _, d := range folders {
		repo, ok := repoOf(d.Name())
		if !ok {
			continue
		}
		seen := map[string]bool{}
		add := func(files []Cached) {
			for _, f := range files {
				if !seen[f.Path] {
					seen[f.Path] = true
					list = append(list, f)
				}
			}
		}
		add(c.Files(repo, Main))
		snapshots, _ := os.ReadDir(filepath.Join(c.o.CacheDir, d.Name(), snapshotsDir))
		for _, s := range snapshots {
			if IsCommit(s.Name()) {
				add(c.Files(repo, s.Name()))
			}
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Name() < list[j].Name() })
	return list
}

// place makes a verified blob reachable under its name in the snapshot, and the
// revision under its commit.
func (c *Client) place(f File) (string, error) {
	link := c.snapshot(f)
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return "", err
	}
	target, err := filepath.Rel(filepath.Dir(link), c.blob(f))
	if err != nil {
		return "", err
	}
	if err := symlink(target, link, c.repoDir(f.Repo)); err != nil {
		// A file system without links (exFAT): huggingface_hub moves the file there.
		if rerr := os.Rename(c.blob(f), link); rerr != nil {
			return "", errors.Join(err, rerr)
		}
	}
	// Some clients take a repository without this folder for damaged.
	if err := os.MkdirAll(filepath.Join(c.repoDir(f.Repo), refsDir), 0o755); err != nil {
		return "", err
	}
	if IsCommit(f.Revision) || !isInside(f.Revision) {
		return link, nil
	}
	if had, ok := c.Ref(f.Repo, f.Revision); ok && had == f.Commit {
		return link, nil
	}
	ref := filepath.Join(c.repoDir(f.Repo), refsDir, filepath.FromSlash(f.Revision))
	return link, write(ref, []byte(f.Commit))
}

// symlink makes or replaces a link; others may be doing the same. It is made in
// scratch first, where nobody takes it for a file of a snapshot.
func symlink(target, link, scratch string) error {
	if had, err := os.Readlink(link); err == nil && had == target {
		return nil
	}
	temp, err := os.MkdirTemp(scratch, ".llcuda-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := os.Symlink(target, filepath.Join(temp, "link")); err != nil {
		return err
	}
	return os.Rename(filepath.Join(temp, "link"), link)
}

// write replaces a small file.
func write(path string, data []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".llcuda-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

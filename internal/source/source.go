// Package source turns what a user names as llama.cpp's source into a folder on
// disk and its identity: a directory, a git URL with or without a ref, or a git
// bundle file.
//
// It promises that what the identity says is what lies in the folder. A clean
// checkout is known by its commit. Everything else is known by a digest over its
// files: a folder without git, one with changes, and one with ignored files that
// a build could see. Identities carry no path and no credential of this machine.
//
// What is fetched lies in CacheDir/src, one folder for each repository and
// commit, named by one rename when it is complete: a killed fetch leaves nothing
// under a final name, and a running build's tree is never swapped. Without
// network a cached tree serves, and Log says so.
//
// A repository is trusted as far as building it trusts it. Hooks, file system
// monitors and prompts of git are off; submodules are not fetched.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
	"github.com/waqasm86/llcuda/matrix"
)

// FixtureFile marks, at the root of a tree, this project's own test fixture.
const FixtureFile = ".llcuda-fixture"

// Repository is a git repository and what to take of it.
type Repository struct {
	URL string
	// Ref is a branch, a tag, a full ref name or a full commit id; "" is HEAD.
	Ref string
}

// Options say what to resolve.
type Options struct {
	// Spec is DIR, URL[@REF] or BUNDLE[@REF]; "" is Default. What exists on disk
	// under the whole name is taken before "@" is looked for.
	Spec string
	// CacheDir keeps what is fetched, under src.
	CacheDir string
	// Log hears in sentences what a user should know; nil is silent.
	Log     io.Writer
	Default Repository
	// Env is what git sees; nil is this process's environment. Variables that
	// would point git at another repository are left out either way.
	Env []string
}

// Tree is a source tree on disk.
type Tree struct {
	// Dir is absolute. It must not be written to.
	Dir string
	ID  matrix.SourceID
	// Time is when the commit was made; zero where there is none.
	Time time.Time
}

// Resolve finds or fetches the tree that o.Spec names. Its typed errors are
// *SpecError, *GitMissingError, *RepositoryError and *RefError.
func Resolve(ctx context.Context, o Options) (Tree, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	r := resolver{Options: o, git: git{env: gitEnv(o.Env)}}
	s, err := parse(o.Spec, o.Default)
	if err != nil {
		return Tree{}, err
	}
	var t Tree
	switch s.kind {
	case kindDir:
		t, err = r.directory(ctx, s.path)
	case kindBundle:
		t, err = r.bundle(ctx, s.path, s.ref)
	default:
		t, err = r.remote(ctx, s.path, s.ref)
	}
	if err != nil {
		return Tree{}, err
	}
	switch _, err := os.Lstat(filepath.Join(t.Dir, FixtureFile)); {
	case err == nil:
		t.ID.Fixture = true
	case !errors.Is(err, fs.ErrNotExist):
		return Tree{}, fmt.Errorf("source: %w", err)
	}
	if t.ID.Commit != "" {
		if t.Time, err = r.git.commitTime(ctx, t.Dir, t.ID.Commit); err != nil {
			return Tree{}, repositoryError(t.Dir, err)
		}
	}
	return t, nil
}

type resolver struct {
	Options
	git git
}

func (r *resolver) say(format string, args ...any) {
	fmt.Fprintf(r.Log, "source: "+format+"\n", args...)
}

type kind int

const (
	kindRemote kind = iota
	kindDir
	kindBundle
)

type spec struct {
	kind      kind
	path, ref string // path is a URL for kindRemote
}

// scpURL is git's short form of an ssh URL: git@host:path.
var scpURL = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9.-]*:`)

// parse tells the kinds apart.
func parse(text string, def Repository) (spec, error) {
	if text == "" {
		if def.URL == "" {
			return spec{}, &SpecError{Spec: text, Why: "no source is named"}
		}
		return spec{kindRemote, def.URL, def.Ref}, nil
	}
	if strings.ContainsAny(text, "\x00\r\n") || text[0] == '-' {
		return spec{}, &SpecError{Spec: text, Why: "not a folder, a git URL or a git bundle"}
	}
	if s, ok := onDisk(text); ok {
		return s, nil
	}
	// An authority may hold an "@" of its own.
	authority := 0
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		authority = len(text)
		if slash := strings.Index(rest, "/"); slash >= 0 {
			authority = len(scheme) + len("://") + slash
		}
	} else if m := scpURL.FindString(text); m != "" {
		authority = len(m)
	} else {
		if i := strings.LastIndex(text, "@"); i > 0 {
			if s, ok := onDisk(text[:i]); ok {
				if s.kind != kindBundle {
					return spec{}, &SpecError{Spec: text, Why: "a folder is taken as it is, without @REF"}
				}
				s.ref = text[i+1:]
				return s, checkRef(text, s.ref)
			}
		}
		return spec{}, &SpecError{Spec: text, Why: "no such folder or file, and not a git URL"}
	}
	s := spec{kind: kindRemote, path: text}
	if i := strings.Index(text[authority:], "@"); i >= 0 {
		s.path, s.ref = text[:authority+i], text[authority+i+1:]
		return s, checkRef(redact(text), s.ref)
	}
	return s, nil
}

func onDisk(path string) (spec, bool) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return spec{}, false
	case st.IsDir():
		return spec{kind: kindDir, path: path}, true
	case st.Mode().IsRegular():
		return spec{kind: kindBundle, path: path}, true
	}
	return spec{}, false
}

var refName = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9._/+#@-]*$`)

// checkRef refuses what git would take for an option, a pattern or a range.
func checkRef(text, ref string) error {
	if !refName.MatchString(ref) || strings.Contains(ref, "..") || strings.Contains(ref, "@{") {
		return &SpecError{Spec: text, Why: fmt.Sprintf("%q is not the name of a branch, a tag or a commit", ref)}
	}
	return nil
}

// publicURL is what of a repository's address may be published: http, https, git
// and ssh addresses without credentials; "" for everything else, which would be
// a path of this machine.
func publicURL(raw string) string {
	if !strings.Contains(raw, "://") {
		if scpURL.MatchString(raw) {
			return raw
		}
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	switch strings.ToLower(u.Scheme) {
	case "https", "http", "git":
		u.User = nil
	case "ssh", "git+ssh", "ssh+git":
		if u.User != nil {
			u.User = url.User(u.User.Username())
		}
	default:
		return ""
	}
	u.RawQuery, u.Fragment, u.RawFragment = "", "", ""
	return u.String()
}

// redact is an address as it may stand in an error or a log of this machine.
func redact(raw string) string {
	if p := publicURL(raw); p != "" {
		return p
	}
	if scheme, rest, ok := strings.Cut(raw, "://"); ok {
		if i := strings.LastIndex(beforeSlash(rest), "@"); i >= 0 {
			return scheme + "://" + rest[i+1:]
		}
	}
	return raw
}

func beforeSlash(s string) string {
	s, _, _ = strings.Cut(s, "/")
	return s
}

package release

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// Source gives the files of releases. Methods may be called at once.
type Source interface {
	// String is the source as a user would name it. It identifies the source
	// (for the highest sequence seen of it), and holds no secret.
	String() string

	// Repository is the name that manifests of this source must be signed
	// for; empty where a source has none, then any will do.
	Repository() string

	// Manifest reads manifest and signature of a release, both unverified. An
	// empty tag means the one named when the source was parsed, else the
	// newest. release is the tag to hold the manifest against: what was asked
	// for, or what the source (unsigned!) calls its newest.
	Manifest(ctx context.Context, tag string) (raw, sig []byte, release string, err error)

	// Open reads a file of a release from offset on. size is that of the whole
	// file, or -1 where the source does not say. An offset at the end gives an
	// empty reader, beyond it a *RangeError; a host that knows no offsets a
	// *NoResumeError, a file that is not the one read before a *ChangedError.
	// The caller closes the reader.
	Open(ctx context.Context, release, name string, offset int64) (r io.ReadCloser, size int64, err error)

	// OpenRange is Open for the bytes from from up to, not including, to. The
	// reader may give more than those. A host that sends whole files only gives a
	// *NoResumeError, also where from is 0.
	OpenRange(ctx context.Context, release, name string, from, to int64) (r io.ReadCloser, size int64, err error)
}

// Options are what the sources need besides their name.
type Options struct {
	// HTTPClient is copied, never changed; nil = a client that gives up on a
	// host that does not answer within 30 s, and sets no limit on a whole download.
	HTTPClient *http.Client
	// Token is for GitHub's API only: it is sent to that host and no other.
	Token string
	// UserAgent names the program.
	UserAgent string
	// GitHubBaseURL is the API's address where it is not https://api.github.com/.
	GitHubBaseURL string
	// Stall is how long no byte of what is read into memory (a manifest, an answer
	// of GitHub's API) may come; 0 = 30 s. Parts are package fetch's to watch.
	Stall time.Duration
	// Now is the clock for waits that a host names as a time of day; nil = time.Now.
	Now func() time.Time
}

var repositoryForm = lazyregexp.New(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}$`)

// Parse reads a source as users name it:
//
//	github:OWNER/REPO[@TAG]
//	https://HOST/PATH[@TAG]   (or http://)
//	DIR[@TAG]
//
// A folder whose name holds an "@" is taken as it is where it exists.
func Parse(spec string, o Options) (Source, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case spec == "":
		return nil, fmt.Errorf("release source: none given")
	case strings.HasPrefix(spec, "github:"):
		name, tag, err := splitTag(strings.TrimPrefix(spec, "github:"))
		if err != nil {
			return nil, fmt.Errorf("release source %q: %w", spec, err)
		}
		if !IsRepository(name) {
			return nil, fmt.Errorf("release source %q: not of the form github:OWNER/REPO[@TAG]", spec)
		}
		return newGitHub(name, tag, o)
	case strings.HasPrefix(spec, "http://"), strings.HasPrefix(spec, "https://"):
		return parseMirror(spec, o)
	case strings.Contains(spec, "://"):
		return nil, fmt.Errorf("release source %q: only https://, http://, github: and folders are known", spec)
	}
	dir, tag := spec, ""
	if _, err := os.Stat(dir); err != nil {
		if dir, tag, err = splitTag(spec); err != nil {
			return nil, fmt.Errorf("release source %q: %w", spec, err)
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("release source %q: %w", spec, err)
	}
	return &layout{files: folder{abs}, tag: tag, stall: o.Stall}, nil
}

func parseMirror(spec string, o Options) (Source, error) {
	u, err := url.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("release source: %w", err)
	}
	switch {
	case u.User != nil:
		return nil, fmt.Errorf("release source %q: a name or password before the host ends up in logs; leave it out (a tag comes after a path: https://HOST/@TAG)", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("release source %q: an address with ? or # has no files below it", spec)
	case u.Host == "":
		return nil, fmt.Errorf("release source %q: no host", spec)
	}
	at, tag, err := splitTag(u.Path)
	if err != nil {
		return nil, fmt.Errorf("release source %q: %w", spec, err)
	}
	u.Path, u.RawPath = strings.TrimSuffix(at, "/")+"/", ""
	return &layout{files: newMirror(u, o), tag: tag, stall: o.Stall}, nil
}

// splitTag takes a tag off the last element of a path.
func splitTag(s string) (rest, tag string, err error) {
	i := strings.LastIndex(s, "@")
	if i < 0 || strings.Contains(s[i:], "/") {
		return s, "", nil
	}
	rest, tag = s[:i], s[i+1:]
	return rest, tag, bundles.CheckTag(tag)
}

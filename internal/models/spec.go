package models

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// Kind is a way of naming a model.
type Kind string

// The ways of naming a model.
const (
	KindPath      Kind = "path"
	KindAlias     Kind = "alias"
	KindRepoFile  Kind = "repository file"
	KindRepoQuant Kind = "repository quantisation"
	KindURL       Kind = "URL"
	KindTiny      Kind = "tiny"
)

// TinyName is the built-in model's.
const TinyName = "tiny"

// Spec is a MODEL argument, taken apart. The fields of its Kind are set.
type Spec struct {
	Kind Kind
	// Raw is what was typed.
	Raw string
	// Path is set for KindPath, as typed.
	Path string
	// Alias is set for KindAlias.
	Alias string
	// Owner and Repo are set for both repository kinds.
	Owner, Repo string
	// File is a path inside the repository, for KindRepoFile.
	File string
	// Quant is upper-case, for KindRepoQuant: "Q4_K_M".
	Quant string
	// URL is set for KindURL, without a digest.
	URL string
	// SHA256 is the digest that a URL brought along (#sha256=…), "" for none.
	SHA256 string
}

// SpecError is a MODEL that has no meaning.
type SpecError struct{ Raw, Why, Cure string }

func (e *SpecError) Error() string { return fmt.Sprintf("model %q %s", e.Raw, e.Why) }

// Hint says what to type.
func (e *SpecError) Hint() string { return e.Cure }

// ExitCode is 2: wrong usage.
func (e *SpecError) ExitCode() int { return 2 }

// forms lists what a MODEL may be.
const forms = "a MODEL is the path of a .gguf file, OWNER/REPO:FILE.gguf, OWNER/REPO:QUANT, an alias, a URL, or tiny"

var (
	// namePart is what Hugging Face lets an owner or repository be called.
	namePart  = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`)
	quantName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)
	aliasName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`)
)

// ParseSpec reads a MODEL by its form; it looks at no disk and no network. Where
// two readings are possible, the explicit one wins: what begins with /, ./ or
// ../ is a path, whatever else it looks like.
func ParseSpec(raw string) (Spec, error) {
	s := Spec{Raw: raw}
	switch {
	case strings.TrimSpace(raw) == "":
		return s, &SpecError{raw, "is empty", forms}
	case strings.ContainsRune(raw, 0):
		return s, &SpecError{raw, "holds a NUL byte", forms}
	case isPath(raw):
		s.Kind, s.Path = KindPath, raw
		return s, nil
	case strings.Contains(raw, "://"):
		return parseURL(s)
	}
	if repo, what, ok := strings.Cut(raw, ":"); ok {
		if owner, name, isRepo := splitRepo(repo); isRepo {
			s.Owner, s.Repo = owner, name
			return parseInRepo(s, what)
		}
	}
	switch {
	case isGGUF(raw):
		s.Kind, s.Path = KindPath, raw
	case raw == TinyName:
		s.Kind = KindTiny
	case aliasName.MatchString(raw):
		s.Kind, s.Alias = KindAlias, raw
	default:
		if _, _, isRepo := splitRepo(raw); isRepo {
			return s, &SpecError{raw, "names a repository and no file in it",
				fmt.Sprintf("add what to take: %s:FILE.gguf or %s:Q4_K_M; for a file on this machine: ./%s", raw, raw, raw)}
		}
		if strings.Contains(raw, ":") {
			return s, &SpecError{raw, "is no OWNER/REPO:FILE.gguf, OWNER/REPO:QUANT or path", forms}
		}
		s.Kind, s.Path = KindPath, raw
	}
	return s, nil
}

// isPath says whether a name is a path by its first characters.
func isPath(s string) bool {
	for _, p := range []string{"/", "./", "../", "~"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return s == "." || s == ".."
}

func isGGUF(s string) bool { return strings.EqualFold(path.Ext(s), ".gguf") }

// splitRepo takes OWNER/REPO apart.
func splitRepo(s string) (owner, repo string, ok bool) {
	owner, repo, ok = strings.Cut(s, "/")
	return owner, repo, ok && namePart.MatchString(owner) && namePart.MatchString(repo)
}

func parseInRepo(s Spec, what string) (Spec, error) {
	switch {
	case what == "":
		return s, &SpecError{s.Raw, "names nothing after the colon", "write OWNER/REPO:FILE.gguf or OWNER/REPO:QUANT"}
	case isGGUF(what):
		// The file becomes a part of URLs and of paths in a cache.
		if path.IsAbs(what) || path.Clean(what) != what || strings.HasPrefix(what, "..") || strings.ContainsAny(what, "\\?#") {
			return s, &SpecError{s.Raw, fmt.Sprintf("names %q, which is no file inside a repository", what), "write the file as the repository's page lists it"}
		}
		s.Kind, s.File = KindRepoFile, what
	case quantName.MatchString(what):
		s.Kind, s.Quant = KindRepoQuant, strings.ToUpper(what)
	default:
		return s, &SpecError{s.Raw, fmt.Sprintf("has %q after the colon, which is neither a .gguf file nor a quantisation", what),
			"write OWNER/REPO:FILE.gguf or OWNER/REPO:QUANT, such as Q4_K_M"}
	}
	return s, nil
}

func parseURL(s Spec) (Spec, error) {
	u, err := url.Parse(s.Raw)
	switch {
	case err != nil:
		return s, &SpecError{s.Raw, "is no URL that can be read", forms}
	case u.Scheme != "https" && u.Scheme != "http":
		return s, &SpecError{s.Raw, fmt.Sprintf("has the scheme %q; http and https are known", u.Scheme), forms}
	case u.Host == "":
		return s, &SpecError{s.Raw, "names no host", forms}
	case !isGGUF(u.Path):
		return s, &SpecError{s.Raw, "does not lead to a .gguf file", "give the address of the file itself, not of its page"}
	}
	s.Kind = KindURL
	if sum, ok := strings.CutPrefix(u.Fragment, "sha256="); ok {
		if s.SHA256 = strings.ToLower(sum); !sha256Text.MatchString(s.SHA256) {
			return s, &SpecError{s.Raw, fmt.Sprintf("has %q for a SHA-256", sum), "64 hexadecimal digits follow #sha256="}
		}
	}
	u.Fragment, u.RawFragment = "", ""
	s.URL = u.String()
	return s, nil
}

// ofHub reads the address of a file at Hugging Face, as its pages have it:
// HOST/OWNER/REPO/resolve/REVISION/FILE or …/blob/…. endpoint is the hub that is
// asked, perhaps a mirror of it.
func ofHub(address, endpoint string) (repo, revision, file string, ok bool) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", "", false
	}
	switch u.Host {
	case "huggingface.co", "hf.co":
	default:
		if e, err := url.Parse(endpoint); err != nil || e.Host != u.Host {
			return "", "", "", false
		}
	}
	parts := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	if len(parts) < 5 || parts[2] != "resolve" && parts[2] != "blob" {
		return "", "", "", false
	}
	for i, p := range parts {
		if parts[i], err = url.PathUnescape(p); err != nil {
			return "", "", "", false
		}
	}
	repo, file = parts[0]+"/"+parts[1], strings.Join(parts[4:], "/")
	spec, err := ParseSpec(repo + ":" + file)
	return repo, parts[3], file, err == nil && spec.Kind == KindRepoFile
}

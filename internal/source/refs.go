package source

import (
	"context"
	"sort"
	"strings"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

var (
	commitID = lazyregexp.New(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	buildTag = lazyregexp.New(`^b[1-9][0-9]*$`)
)

// advertised are the refs of a repository: name → commit, tags peeled.
type advertised map[string]string

// parseRefs reads the output of ls-remote.
func parseRefs(text string) advertised {
	a := advertised{}
	peeled := map[string]string{}
	for line := range strings.Lines(text) {
		id, name, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if !ok || !commitID.MatchString(id) {
			continue
		}
		if tag, ok := strings.CutSuffix(name, "^{}"); ok {
			peeled[tag] = id
		} else {
			a[name] = id
		}
	}
	for name, id := range peeled {
		a[name] = id
	}
	return a
}

// find gives the full name and commit of ref, by git's own order.
func (a advertised) find(ref string) (name, commit string, ok bool) {
	if ref == "" {
		ref = "HEAD"
	}
	for _, name := range []string{ref, "refs/" + ref, "refs/tags/" + ref, "refs/heads/" + ref} {
		if id, ok := a[name]; ok {
			return name, id, true
		}
	}
	return "", "", false
}

// pick gives the object of ref in a bundle, whose tags are not peeled: a name, a
// commit, or for "" HEAD or the one ref there is.
func (a advertised) pick(ref string) (object string, ok bool) {
	if _, id, ok := a.find(ref); ok {
		return id, true
	}
	if commitID.MatchString(ref) {
		return ref, true
	}
	if ref == "" && len(a) == 1 {
		for _, id := range a {
			return id, true
		}
	}
	return "", false
}

// bestTag is one of llama.cpp's build tags, or else the first by name; "" where
// there is none.
func bestTag(tags []string) string {
	sort.Slice(tags, func(i, j int) bool {
		x, y := buildTag.MatchString(tags[i]), buildTag.MatchString(tags[j])
		if x != y {
			return x
		}
		return tags[i] < tags[j]
	})
	if len(tags) == 0 {
		return ""
	}
	return tags[0]
}

// names are up to 8 names to choose from.
func (a advertised) names() []string {
	var names []string
	for name := range a {
		for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
			if short, ok := strings.CutPrefix(name, prefix); ok {
				names = append(names, short)
			}
		}
	}
	sort.Strings(names)
	return names[:min(len(names), 8)]
}

// list asks a repository or a bundle for its refs; patterns narrow the answer.
func (g git) list(ctx context.Context, address string, patterns ...string) (advertised, error) {
	out, err := g.run(ctx, "", append([]string{"ls-remote", "--", address}, patterns...)...)
	if err != nil {
		return nil, repositoryError(address, err)
	}
	return parseRefs(out), nil
}

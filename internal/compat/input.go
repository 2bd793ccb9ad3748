package compat

import (
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

// CandidateInput is one thing to judge: a bundle with one choice of runtime, or
// foreign files.
type CandidateInput struct {
	// ID is the bundle's id, or the path of a foreign file.
	ID string
	// Platform is "linux/amd64"; "" is not judged.
	Platform string
	App      bundles.Part
	// Runtime is the runtime part, or what was read from the host's copies; nil
	// where there is none or nothing was read.
	Runtime *bundles.Part
	// UseHost says that the needs of App are to be met by facts.Host.Libs.
	UseHost bool
	// Elsewhere marks foreign files whose own search path leads out of their
	// folder (an absolute RUNPATH): their libraries may lie where this program does
	// not look, so a missing one is said and changes nothing.
	Elsewhere bool
}

// ForFiles is the input for a foreign file or folder. What lies beside a file and
// within its search path, as inspect found it, is not missing.
func ForFiles(name string, files []facts.File) CandidateInput {
	p := bundles.Part{Kind: bundles.PartApp, Files: files, Floors: PartFloors(files)}
	p.Needs = Needs(files)
	return CandidateInput{ID: name, App: p, UseHost: true, Elsewhere: leadsElsewhere(files)}
}

// ForBundle is the input for a bundle of a manifest. runtime is one of
// b.Runtime, or "" for none. A bundle whose app the manifest lacks is judged as
// one without files; Manifest.Validate keeps such manifests out.
func ForBundle(m *bundles.Manifest, b bundles.Bundle, runtime string) CandidateInput {
	c := CandidateInput{ID: b.ID, Platform: b.Platform, App: m.Parts[b.App]}
	if runtime == bundles.RuntimeHost {
		c.UseHost = true
	} else if p, ok := m.Parts[runtime]; ok {
		c.Runtime = &p
	}
	return c
}

// leadsElsewhere: an element of a search path that begins at the root.
func leadsElsewhere(files []facts.File) bool {
	return slices.ContainsFunc(files, func(f facts.File) bool {
		return f.ELF != nil && slices.ContainsFunc(f.ELF.Runpath, func(p string) bool { return strings.HasPrefix(p, "/") })
	})
}

// Needs are the libraries that files ask for and do not bring, by SONAME, but for
// those of libc, of the compiler and of the driver: a runtime part or the host
// has to provide them.
func Needs(files []facts.File) []bundles.Need {
	around, seen := facts.FolderOf(files), map[string]bool{}
	var needs []bundles.Need
	for _, f := range files {
		needed := facts.NeedsOf(f, around)
		if f.ELF != nil && f.ELF.Needs != nil {
			needed = f.ELF.Needs // a file on its own: inspect looked around it
		}
		for _, n := range needed {
			if (n.By == facts.ByCUDA || n.By == facts.ByNobody) && !seen[n.Soname] {
				seen[n.Soname] = true
				needs = append(needs, bundles.Need{Soname: n.Soname})
			}
		}
	}
	slices.SortFunc(needs, func(a, b bundles.Need) int { return strings.Compare(a.Soname, b.Soname) })
	return needs
}

// NeedsCUDA says whether libraries of the CUDA toolkit are among the needs: then
// a bundle has a runtime, be it the host's.
func NeedsCUDA(needs []bundles.Need) bool {
	return slices.ContainsFunc(needs, func(n bundles.Need) bool { return cudaLibrary(n.Soname) })
}

// cudaLibrary: a library of the CUDA toolkit, of which facts.Host.Libs is a
// list. The driver's own (libcuda, libnvidia-*) are not.
func cudaLibrary(soname string) bool {
	return facts.ProviderOf(soname) == facts.ByCUDA
}

// floorsOf prefers what was published: an old runner judges a new bundle by
// what its builder knew.
func floorsOf(p bundles.Part) []facts.Floor {
	if p.Floors != nil {
		return p.Floors
	}
	return PartFloorsOf(p)
}

// versionsOf are the highest glibc and libstdc++ versions that a part asks for.
func versionsOf(p bundles.Part) (glibc, glibcxx Version) {
	glibc, glibcxx = version(p.Glibc), version(p.Glibcxx)
	if glibc.Known() || glibcxx.Known() {
		return glibc, glibcxx
	}
	for _, f := range p.Files {
		if f.ELF == nil {
			continue
		}
		if v := version(f.ELF.Glibc); glibc.Less(v) {
			glibc = v
		}
		if v := version(f.ELF.Glibcxx); glibcxx.Less(v) {
			glibcxx = v
		}
	}
	return glibc, glibcxx
}

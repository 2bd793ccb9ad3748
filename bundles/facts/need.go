package facts

import (
	"path"
	"strings"
)

// Who brings a library.
const (
	ByBundle = "bundle" // a file beside it
	ByDriver = "driver" // NVIDIA's driver on the host
	ByLibc   = "libc"   // glibc's own libraries
	ByCXX    = "c++"    // the host's C++ runtime
	ByCUDA   = "cuda"   // the CUDA runtime libraries
	ByNobody = "nobody"
)

// LibraryNeed is a library that a file needs, and who brings it.
type LibraryNeed struct {
	Soname string `json:"soname"`
	By     string `json:"by"`
	// File is the bundle's file.
	File string `json:"file,omitempty"`
	// Unreached says that the bundle has it where the file's search path does not
	// lead, or under another name.
	Unreached bool `json:"unreached,omitempty"`
}

// libcLibraries are what glibc brings, cxxLibraries what a C++ compiler's
// runtime does; their versions are floors of their own.
var (
	libcLibraries = map[string]bool{"libc.so.6": true, "libm.so.6": true, "libpthread.so.0": true, "libdl.so.2": true, "librt.so.1": true, "libutil.so.1": true,
		"libresolv.so.2": true, "libanl.so.1": true, "libmvec.so.1": true, "ld-linux-x86-64.so.2": true, "ld-linux-aarch64.so.1": true}
	cxxLibraries = map[string]bool{"libgcc_s.so.1": true, "libstdc++.so.6": true}
	// cudaLibraries are the toolkit's shared libraries, and NCCL, by stem.
	cudaLibraries = map[string]bool{"libcudart": true, "libcublas": true, "libcublasLt": true, "libcufft": true, "libcurand": true, "libcusparse": true,
		"libcusolver": true, "libnvrtc": true, "libnvJitLink": true, "libnccl": true}
)

// ProviderOf says who brings a library that no file of a bundle is.
func ProviderOf(soname string) string {
	stem, _, _ := strings.Cut(soname, ".so.")
	switch {
	case libcLibraries[soname]:
		return ByLibc
	case cxxLibraries[soname]:
		return ByCXX
	case soname == "libcuda.so.1" || strings.HasPrefix(soname, "libnvidia-"):
		return ByDriver
	case cudaLibraries[stem] && stem != soname:
		return ByCUDA
	}
	return ByNobody
}

// Folder is what lies around a file: the files of a bundle, by path.
type Folder struct {
	paths map[string]bool
	// names maps base names and SONAMEs to the first path with them.
	names map[string]string
}

// FolderOf lists the files of a report.
func FolderOf(files []File) Folder {
	f := Folder{map[string]bool{}, map[string]string{}}
	for _, g := range files {
		f.Add(g.Path)
	}
	for _, g := range files {
		if g.ELF != nil && g.ELF.Soname != "" && f.names[g.ELF.Soname] == "" {
			f.names[g.ELF.Soname] = g.Path
		}
	}
	return f
}

// Add puts one more path in.
func (f *Folder) Add(file string) {
	if f.paths == nil {
		f.paths, f.names = map[string]bool{}, map[string]string{}
	}
	f.paths[file] = true
	if base := path.Base(file); f.names[base] == "" {
		f.names[base] = file
	}
}

// Origins are the folders that a search path names relative to the file at
// place: elements with $ORIGIN. Others lead out of any bundle.
func Origins(place string, runpath []string) []string {
	var dirs []string
	for _, r := range runpath {
		for _, origin := range []string{"$ORIGIN", "${ORIGIN}"} {
			if rest, ok := strings.CutPrefix(r, origin); ok && (rest == "" || rest[0] == '/') {
				dirs = append(dirs, path.Join(path.Dir(place), rest))
			}
		}
	}
	return dirs
}

// NeedsOf says of each library that f needs who brings it. The loader looks for
// a file of that name in the search path: one elsewhere, or that only has the
// SONAME, is unreached. One that every host brings is then the host's.
func NeedsOf(f File, around Folder) []LibraryNeed {
	if f.ELF == nil {
		return nil
	}
	dirs := Origins(f.Path, f.ELF.Runpath)
	var needs []LibraryNeed
	for _, name := range f.ELF.Needed {
		n := LibraryNeed{Soname: name, By: ByBundle}
		for _, dir := range dirs {
			if file := path.Join(dir, name); n.File == "" && around.paths[file] {
				n.File = file
			}
		}
		by := ProviderOf(name)
		switch elsewhere := around.names[name]; {
		case n.File != "":
		case elsewhere != "" && (by == ByCUDA || by == ByNobody):
			n.File, n.Unreached = elsewhere, true
		default:
			n.By = by
		}
		needs = append(needs, n)
	}
	return needs
}

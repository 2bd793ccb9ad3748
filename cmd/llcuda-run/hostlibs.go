//go:build linux && amd64

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/internal/store"
)

// hostLibsName is the file in the cache with what was read from the host's CUDA
// libraries: cuBLAS is hundreds of megabytes, and changes with a toolkit only.
const hostLibsName = "host-libraries.json"

// seenLib is one of them. It counts while size and time are the file's.
type seenLib struct {
	Size int64      `json:"size"`
	Time int64      `json:"time"`
	File facts.File `json:"file"`
}

// hostFiles are what inspect reads from the host's copies of CUDA libraries that
// bundles of a release could use in place of a runtime part, by path. Without
// fresh only what was read before is told: doctor and why are to be quick. What
// cannot be read is left out, and such a copy is taken by its name and version.
func hostFiles(st *store.Store, m *bundles.Manifest, h facts.Host, fresh bool) map[string]facts.File {
	name := filepath.Join(modelCache(st), hostLibsName)
	seen := map[string]seenLib{}
	if data, err := os.ReadFile(name); err == nil {
		_ = json.Unmarshal(data, &seen) // a damaged cache is as good as none
	}
	out, changed := map[string]facts.File{}, false
	for _, path := range hostLibPaths(m, h) {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		lib, ok := seen[path]
		if !ok || lib.Size != info.Size() || lib.Time != info.ModTime().UnixNano() {
			if !fresh {
				continue
			}
			f, err := inspect.File(path)
			if err != nil {
				continue
			}
			if f.ELF != nil {
				f.ELF.BuildPaths = nil
			}
			lib = seenLib{info.Size(), info.ModTime().UnixNano(), f}
			seen[path], changed = lib, true
		}
		out[path] = lib.File
	}
	if changed {
		saveSeen(name, seen)
	}
	return out
}

// saveSeen keeps what was read. Where that cannot be kept it is read again.
func saveSeen(name string, seen map[string]seenLib) {
	data, err := json.Marshal(seen)
	if err != nil || os.MkdirAll(filepath.Dir(name), 0o755) != nil {
		return
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+hostLibsName+"-*")
	if err != nil {
		return
	}
	_, err = tmp.Write(data)
	if tmp.Close() != nil || err != nil || os.Rename(tmp.Name(), name) != nil {
		os.Remove(tmp.Name())
	}
}

// hostLibPaths are the copies that would be used, and the libcublasLt that each
// libcublas loads from beside itself.
func hostLibPaths(m *bundles.Manifest, h facts.Host) []string {
	var paths []string
	add := func(path string) {
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	for _, b := range m.Bundles {
		if !slices.Contains(b.Runtime, bundles.RuntimeHost) {
			continue
		}
		for _, l := range compat.HostRuntime(m.Parts[b.App], h) {
			add(l.Path)
			if version, ok := strings.CutPrefix(l.Soname, "libcublas.so"); ok {
				add(filepath.Join(filepath.Dir(l.Path), "libcublasLt.so"+version))
			}
		}
	}
	return paths
}

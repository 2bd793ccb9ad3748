package host

import (
	"path"
	"regexp"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// cudaLib is a CUDA library that a bundle may use in place of its own part.
var cudaLib = regexp.MustCompile(`^lib(cudart|cublas|cublasLt|nccl)\.so\.[0-9]+(\.0)?$`)

// realLib is the version at the end of a library's real name.
var realLib = regexp.MustCompile(`\.so\.([0-9]+\.[0-9]+(?:\.[0-9]+)*)$`)

// toolkitDirs hold a CUDA toolkit's libraries.
var toolkitDirs = [...]string{
	"/usr/local/cuda/lib64", "/usr/local/cuda-*/lib64", "/usr/local/cuda-*/targets/*-linux/lib", "/opt/cuda/lib64", "/opt/cuda/targets/*-linux/lib",
}

// readLibs finds CUDA's libraries and the driver's, in the order in which they
// are worth trying: what the loader finds by itself, toolkits, Python's wheels.
// A file is listed once.
func readLibs(t tree, l *loader, d driverFiles, env map[string]string) []facts.HostLib {
	libs := []facts.HostLib{}
	seen := map[string]bool{}
	add := func(p, soname, version string) {
		real, ok := t.real(p)
		if !ok || seen[real] {
			return
		}
		seen[real] = true
		if version == "" {
			if m := realLib.FindStringSubmatch(real); m != nil && strings.Count(m[1], ".") > 1 {
				version = m[1]
			}
		}
		libs = append(libs, facts.HostLib{Soname: soname, Path: p, Version: version, DirNeeded: !l.defaults(soname, real)})
	}
	if d.libcuda != "" && !d.stub {
		add(d.libcuda, sonameCUDA, d.version)
	}
	if p, ok := l.in([]string{d.dir}, sonameJIT); ok && d.dir != "" {
		add(p, sonameJIT, fileVersion(t, p))
	}
	folder := func(dir string, version func(string) string) {
		if under(t, path.Join(dir, "x"), "stubs") {
			return
		}
		for _, name := range t.list(dir) {
			if cudaLib.MatchString(name) {
				add(path.Join(dir, name), name, version(name))
			}
		}
	}
	byName := func(string) string { return "" }
	for _, dir := range l.env {
		folder(dir, byName)
	}
	for _, soname := range sortedKeys(l.cache) {
		if !cudaLib.MatchString(soname) {
			continue
		}
		for _, p := range l.cache[soname] {
			add(p, soname, "")
		}
	}
	for _, dir := range defaultDirs {
		folder(dir, byName)
	}
	for _, pattern := range toolkitDirs {
		for _, dir := range t.match(pattern) {
			folder(dir, byName)
		}
	}
	for _, pattern := range wheelDirs(env) {
		for _, site := range t.match(pattern) {
			versions := wheelVersions(t.list(site))
			for _, dir := range t.match(site + "/nvidia/*/lib") {
				folder(dir, func(name string) string { return versions[wheelOf(name)] })
			}
		}
	}
	return libs
}

// wheelDirs are where Python keeps packages: the system's, Colab's, conda's,
// the virtual environment's, the user's.
func wheelDirs(env map[string]string) []string {
	var out []string
	bases := []string{"/usr/local", "/usr", "/opt/conda", env["CONDA_PREFIX"], env["VIRTUAL_ENV"]}
	if home := env["HOME"]; home != "" {
		bases = append(bases, home+"/.local")
	}
	for _, base := range bases {
		if !path.IsAbs(base) || strings.ContainsAny(base, "*?[\\") {
			continue
		}
		out = append(out, base+"/lib/python3*/site-packages", base+"/lib/python3*/dist-packages")
	}
	return out
}

// wheelInfo is the folder in which pip records a package: nvidia_cublas_cu12-12.4.5.8.dist-info.
var wheelInfo = regexp.MustCompile(`^nvidia_([a-z_]+?)(?:_cu[0-9]+)?-([0-9][0-9.]*)\.dist-info$`)

// wheelVersions maps a package ("cublas") to its version. Where two versions
// are recorded neither is told.
func wheelVersions(names []string) map[string]string {
	out := map[string]string{}
	for _, name := range names {
		if m := wheelInfo.FindStringSubmatch(name); m != nil {
			if other, twice := out[m[1]]; twice && other != m[2] {
				out[m[1]] = ""
				continue
			}
			out[m[1]] = m[2]
		}
	}
	return out
}

// wheelOf is the package that brings a library.
func wheelOf(soname string) string {
	switch name, _, _ := strings.Cut(strings.TrimPrefix(soname, "lib"), "."); name {
	case "cublas", "cublasLt":
		return "cublas"
	case "cudart":
		return "cuda_runtime"
	default:
		return name
	}
}

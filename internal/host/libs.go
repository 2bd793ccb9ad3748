package host

import (
	"path"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// cudaLib is a CUDA library that a bundle may use in place of its own part.
var cudaLib = lazyregexp.New(`^lib(cudart|cublas|cublasLt|nccl)\.so\.[0-9]+(\.0)?$`)

// realLib is the version at the end of a library's real name.
var realLib = lazyregexp.New(`\.so\.([0-9]+\.[0-9]+(?:\.[0-9]+)*)$`)

// toolkitDirs hold a CUDA toolkit's libraries.
var toolkitDirs = [...]string{
	"/usr/local/cuda/lib64", "/usr/local/cuda-*/lib64", "/usr/local/cuda-*/targets/*-linux/lib", "/opt/cuda/lib64", "/opt/cuda/targets/*-linux/lib",
}

// readLibs finds CUDA's libraries and the driver's, in the order in which they
// are worth trying: what the loader finds by itself, toolkits, Python's wheels.
// A file is listed once.
func readLibs(t tree, l *loader, d driverFiles, env map[string]string) []facts.HostLib {
	libs := []facts.HostLib{}
	seen, read := map[string]bool{}, map[string]bool{} // by their real names: /lib is often /usr/lib
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
	// libcuda loads it by name: beside itself first is where a driver puts it.
	if p, ok := l.in([]string{path.Dir(d.libcuda), d.dir}, sonameJIT); ok && d.libcuda != "" && !d.stub {
		add(p, sonameJIT, fileVersion(t, p))
	} else if p, ok := l.find(sonameJIT); ok {
		add(p, sonameJIT, fileVersion(t, p))
	}
	folder := func(dir string, version func(string) string) {
		real, ok := t.real(dir)
		if !ok || read[real] || slices.Contains(strings.Split(dir+real, "/"), "stubs") {
			return
		}
		read[real] = true
		for _, name := range t.list(dir) {
			if cudaLib.MatchString(name) {
				add(path.Join(dir, name), name, version(name))
			}
		}
	}
	for _, soname := range systemLibs {
		if p, ok := l.find(soname); ok {
			add(p, soname, "")
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
	for _, base := range pythonBases(t, env) { // conda's own packages lie beside its Python's
		folder(path.Join(base, "lib"), byName)
	}
	for _, pattern := range wheelDirs(t, env) {
		for _, site := range t.match(pattern) {
			versions := wheelVersions(t.list(site))
			for _, dir := range t.match(site + "/nvidia/*/lib") {
				folder(dir, func(name string) string { return versions[wheelOf(name)] })
			}
		}
	}
	return libs
}

// systemLibs are libraries of the system that builds of llama.cpp may ask for
// and that a bare host may lack.
var systemLibs = [...]string{"libgomp.so.1"}

// readLacks names those of systemLibs that the loader would not find.
func readLacks(l *loader) []string {
	var out []string
	for _, soname := range systemLibs {
		if _, ok := l.find(soname); !ok {
			out = append(out, soname)
		}
	}
	return out
}

// pythonBases are the prefixes of the Pythons that a user may start: of the
// system, of Colab, of conda (also its other environments' base), of the virtual
// environment, of every folder of PATH that has a python3, and behind its links.
func pythonBases(t tree, env map[string]string) []string {
	var out []string
	add := func(base string) {
		if path.IsAbs(base) && base != "/" && !strings.ContainsAny(base, "*?[\\") && !slices.Contains(out, path.Clean(base)) {
			out = append(out, path.Clean(base))
		}
	}
	add(env["VIRTUAL_ENV"])
	add(env["CONDA_PREFIX"])
	for _, dir := range strings.Split(env["PATH"], ":") {
		if p := path.Join(dir, "python3"); path.IsAbs(dir) && path.Base(dir) == "bin" && t.exists(p) {
			add(path.Dir(dir))
			if real, ok := t.real(p); ok {
				add(path.Dir(path.Dir(real)))
			}
		}
	}
	add("/usr/local")
	add("/usr")
	add("/opt/conda")
	return out
}

// wheelDirs are where Python keeps packages: those of its prefixes, the user's,
// and the folders of PYTHONPATH.
func wheelDirs(t tree, env map[string]string) []string {
	var out []string
	bases := pythonBases(t, env)
	if home := env["HOME"]; path.IsAbs(home) && !strings.ContainsAny(home, "*?[\\") {
		bases = append(bases, home+"/.local")
	}
	for _, base := range bases {
		for _, lib := range []string{"lib", "lib64"} {
			out = append(out, base+"/"+lib+"/python3*/site-packages", base+"/"+lib+"/python3*/dist-packages")
		}
		out = append(out, base+"/lib/python3/dist-packages")
	}
	for _, dir := range strings.Split(env["PYTHONPATH"], ":") {
		if path.IsAbs(dir) && !strings.ContainsAny(dir, "*?[\\") {
			out = append(out, path.Clean(dir))
		}
	}
	return out
}

// wheelInfo is the folder in which pip records a package: nvidia_cublas_cu12-12.4.5.8.dist-info.
var wheelInfo = lazyregexp.New(`^nvidia_([a-z_]+?)(?:_cu[0-9]+)?-([0-9][0-9.]*)\.dist-info$`)

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

package host

import (
	"path"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// SONAMEs of the driver.
const (
	sonameCUDA = "libcuda.so.1"
	sonameNVML = "libnvidia-ml.so.1"
	sonameJIT  = "libnvidia-ptxjitcompiler.so.1"
)

// driverDirs hold the driver's libraries where the loader does not look by
// itself: Colab, WSL, containers of older NVIDIA toolkits, NixOS.
var driverDirs = [...]string{
	"/usr/lib64-nvidia", "/usr/lib/wsl/lib", "/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/run/opengl-driver/lib",
}

// driverFiles are the driver's libraries as they lie on the disk.
type driverFiles struct {
	// libcuda is what a program would load, once Dir is added where it must be.
	libcuda string
	version string
	compat  bool
	// stub is a toolkit's libcuda that only serves to link against.
	stub bool
	// dir holds the driver's own libcuda; "" where none was found.
	dir       string
	dirNeeded bool
	nvml      string
}

func findDriver(t tree, l *loader) driverFiles {
	var d driverFiles
	own := func(p string, ok bool) bool { return ok && !isCompat(t, p) && !isStub(t, p) }

	fromSystem, okSystem := l.fromSystem(sonameCUDA)
	known, okKnown := l.in(driverDirs[:], sonameCUDA)
	fromEnv, okEnv := l.fromEnv(sonameCUDA)
	switch {
	case own(fromSystem, okSystem):
		d.dir = path.Dir(fromSystem)
	case own(known, okKnown):
		d.dir, d.dirNeeded = path.Dir(known), true
	case own(fromEnv, okEnv):
		d.dir, d.dirNeeded = path.Dir(fromEnv), true
	}
	switch {
	case okEnv:
		d.libcuda = fromEnv
	case okSystem:
		d.libcuda = fromSystem
	case okKnown:
		d.libcuda = known
	}
	if d.libcuda != "" {
		d.version = fileVersion(t, d.libcuda)
		d.compat, d.stub = isCompat(t, d.libcuda), isStub(t, d.libcuda)
	}
	if p, ok := l.in([]string{d.dir}, sonameNVML); ok && d.dir != "" {
		d.nvml = p
	} else if p, ok := l.find(sonameNVML); ok {
		d.nvml = p
	} else if p, ok := l.in(driverDirs[:], sonameNVML); ok {
		d.nvml = p
	}
	return d
}

// isCompat: NVIDIA's forward-compatibility packages install into …/compat.
func isCompat(t tree, p string) bool { return under(t, p, "compat") }

func isStub(t tree, p string) bool { return under(t, p, "stubs") }

// under reports whether a folder of that name leads to p, by either of its names.
func under(t tree, p, folder string) bool {
	real, _ := t.real(p)
	return slices.Contains(strings.Split(path.Dir(p), "/"), folder) || slices.Contains(strings.Split(path.Dir(real), "/"), folder)
}

// driverVersion is a driver version at the end of a library's file name. WSL
// calls its file libcuda.so.1.1, which says nothing.
var driverVersion = lazyregexp.New(`\.so\.([0-9]{3,4}\.[0-9]+(?:\.[0-9]+)?)$`)

func fileVersion(t tree, p string) string {
	real, ok := t.real(p)
	if !ok {
		return ""
	}
	if m := driverVersion.FindStringSubmatch(real); m != nil {
		return m[1]
	}
	return ""
}

// moduleVersion is the kernel module's version in /proc/driver/nvidia/version.
var moduleVersion = lazyregexp.New(`(?m)^NVRM version:.*?Module(?: for [^ ]+)?\s+([0-9]{3,4}(?:\.[0-9]+){1,2})\b`)

func parseProcVersion(text string) string {
	if m := moduleVersion.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

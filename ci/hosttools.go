package ci

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
	"github.com/waqasm86/llcuda/matrix"
)

// tools are the programs that a plan calls, itself or through cmake and its
// scripts. A cmake step compiles, so it needs compilers too; env names them.
func tools(p matrix.Plan, env []string) []string {
	var need []string
	add := func(names ...string) {
		for _, n := range names {
			if n != "" && !slices.Contains(need, n) {
				need = append(need, n)
			}
		}
	}
	compiler := func(key, otherwise string) {
		// CC may carry arguments: "gcc -m64".
		if words := strings.Fields(lookup(env, key)); len(words) > 0 {
			otherwise = words[0]
		}
		add(otherwise)
	}
	for _, s := range p.Steps {
		add(s.Args[0])
		if s.Args[0] != "cmake" {
			continue
		}
		for i, a := range s.Args {
			switch {
			case a == "-G" && i+1 < len(s.Args):
				if strings.HasPrefix(s.Args[i+1], "Ninja") {
					add("ninja")
				}
				compiler("CC", "cc")
				compiler("CXX", "c++")
			case strings.HasPrefix(a, "-DCMAKE_CUDA_ARCHITECTURES="):
				compiler("CUDACXX", "nvcc")
			case strings.HasPrefix(a, "-DCMAKE_") && strings.HasSuffix(a, "_COMPILER_LAUNCHER=ccache"):
				add("ccache")
			}
		}
		add("strip", "readelf")
	}
	return need
}

// HostTools is a digest of the programs that a host build of p would call: which
// files they are, of which size and age. Two host builds of one source and plan differ
// where these do. Headers and libraries of the host are not looked at.
func HostTools(o HostOptions, p matrix.Plan) (string, error) {
	env := overlay(hostEnvOf(o.Env), p.Env)
	if err := requireTools(p, env); err != nil {
		return "", err
	}
	h := sha256.New()
	for _, t := range tools(p, env) {
		path, err := lookPath(t, env)
		if err == nil {
			path, err = filepath.EvalSymlinks(path)
		}
		if err != nil {
			return "", err
		}
		st, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %s %d %d\n", t, path, st.Size(), st.ModTime().UnixNano())
	}
	for _, k := range []string{"CC", "CXX", "CUDACXX", "CUDAHOSTCXX"} {
		fmt.Fprintf(h, "%s=%s\n", k, lookup(env, k))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// requireTools is a *ToolError where a tool of the plan is not on env's PATH.
func requireTools(p matrix.Plan, env []string) error {
	var missing []string
	for _, t := range tools(p, env) {
		if _, err := lookPath(t, env); err != nil {
			missing = append(missing, t)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return toolsError(missing)
}

func toolsError(missing []string) *ToolError {
	e := &ToolError{Tools: missing}
	for _, t := range missing {
		if p := packageOf(t); p != "" && !slices.Contains(e.Packages, p) {
			e.Packages = append(e.Packages, p)
		}
	}
	return e
}

var versioned = lazyregexp.New(`^(gcc|g\+\+|clang)(-[0-9]+)?$`)

// packageOf is the Debian and Ubuntu package of a tool, "" where not known.
func packageOf(tool string) string {
	tool = filepath.Base(tool)
	switch tool {
	case "cmake", "ccache", "git":
		return tool
	case "ninja":
		return "ninja-build"
	case "cc":
		return "gcc"
	case "c++":
		return "g++"
	case "strip", "readelf", "ld":
		return "binutils"
	case "nvcc":
		return "nvidia-cuda-toolkit"
	}
	if clang, ok := strings.CutPrefix(tool, "clang++"); ok {
		return "clang" + clang
	}
	if versioned.MatchString(tool) {
		return tool
	}
	return ""
}

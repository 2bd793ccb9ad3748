package matrix

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

var (
	cellID     = lazyregexp.New(`^[a-z0-9][a-z0-9.-]*$`)
	smName     = lazyregexp.New(`^[1-9][0-9]{1,2}[af]?$`)
	plain12X   = lazyregexp.New(`^12[0-9]$`)
	envName    = lazyregexp.New(`^[A-Z_][A-Z0-9_]*$`)
	imageRef   = lazyregexp.New(`^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$`)
	cmakeArg   = lazyregexp.New(`^-D([A-Za-z][A-Za-z0-9_]*)=(.*)$`)
	fileName   = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)*$`)
	ccName     = lazyregexp.New(`^[1-9][0-9]?\.[0-9]$`)
	symbolName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
	dotted     = lazyregexp.New(`^[0-9]{1,6}(\.[0-9]{1,6}){0,3}$`)
)

// platforms that a plan can be made for: the CPU variants that `expect` lists
// are x86's.
var platforms = [...]string{"linux/amd64"}

// owned are cmake variables that the plan sets itself.
var owned = [...]string{"CMAKE_CUDA_ARCHITECTURES", "CMAKE_C_FLAGS", "CMAKE_CXX_FLAGS", "CMAKE_CUDA_FLAGS",
	"CMAKE_C_COMPILER_LAUNCHER", "CMAKE_CXX_COMPILER_LAUNCHER", "CMAKE_CUDA_COMPILER_LAUNCHER",
	"LLAMA_BUILD_COMMIT", "LLAMA_BUILD_NUMBER", "GIT_EXE", "GIT_EXECUTABLE"}

// compression is llama.cpp's option that acts from compressionSince on; its
// default asks for a newer driver than the toolkit does.
const (
	compression      = "GGML_CUDA_COMPRESSION_MODE"
	compressionSince = "12.8.0"
)

func (m *Matrix) check(w *walker) {
	m.checkPlatform(w, m.platform)
	m.checkBuild(w)
	for _, name := range sorted(m.systems) {
		s := m.systems[name]
		if s.glibc.S != "" && !dotted.MatchString(s.glibc.S) {
			w.fail(s.glibc.Line, "%q is no glibc version", s.glibc.S)
		}
	}
	for _, v := range sorted(m.toolkits) {
		m.checkToolkit(w, m.toolkits[v])
	}
	if m.cpu != nil {
		m.checkImage(w, "cpu", m.cpu)
	}
	m.checkCells(w)
	m.checkPromises(w)
}

func (m *Matrix) checkPlatform(w *walker, p text) {
	if p.S != "" && !slices.Contains(platforms[:], p.S) {
		w.fail(p.Line, "platform %q cannot be built; known: %s", p.S, strings.Join(platforms[:], ", "))
	}
}

func (m *Matrix) checkBuild(w *walker) {
	b := m.build
	set := map[string]int{}
	w.checkCMake(b.cmake, set)
	w.checkCMake(b.cmakeCUDA, set)
	w.checkRuntime(b.runtime, b.runtimeCalls)
	for _, call := range b.runtimeCalls {
		if !symbolName.MatchString(call.S) {
			w.fail(call.Line, "%q is no name of a function", call.S)
		}
	}
	for _, list := range [][]text{b.targets, b.expect, b.expectCUDA} {
		for _, f := range list {
			if !fileName.MatchString(f.S) {
				w.fail(f.Line, "%q is no name of a file in a bundle", f.S)
			}
		}
	}
	for _, t := range b.targets {
		if strings.Contains(t.S, "/") {
			w.fail(t.Line, "%q is no name of a target", t.S)
		}
	}
}

// checkCMake holds arguments against the form -DNAME=VALUE; set remembers names
// already given and where.
func (w *walker) checkCMake(args []text, set map[string]int) {
	for _, a := range args {
		match := cmakeArg.FindStringSubmatch(a.S)
		if match == nil {
			w.fail(a.Line, "%q is not of the form -DNAME=VALUE", a.S)
			continue
		}
		if slices.Contains(owned[:], match[1]) {
			w.fail(a.Line, "%s is set by the plan, not here", match[1])
		}
		if line, twice := set[match[1]]; twice {
			w.fail(a.Line, "%s is set already in line %d", match[1], line)
		}
		set[match[1]] = a.Line
	}
}

func (m *Matrix) checkToolkit(w *walker, t *toolkit) {
	what := fmt.Sprintf("toolkit %q", t.version.S)
	version := "v" + t.version.S
	full := semver.Canonical(version) == version
	if !full {
		w.fail(t.version.Line, "%s: a toolkit is named by its full version, such as 12.4.1", what)
	}
	m.checkImage(w, what, t)
	for _, sm := range t.sms {
		if !smName.MatchString(sm.S) {
			w.fail(sm.Line, "%q is no SM; an SM is written 75 or 90a", sm.S)
		}
	}
	for sm, reason := range t.refuse {
		if sm != "" && !slices.Contains(plain(t.sms), sm) {
			w.fail(reason.Line, "%s refuses SM %s, which is not among its sms", what, sm)
		}
	}
	if t.minDriver.S != "" && !dotted.MatchString(t.minDriver.S) {
		w.fail(t.minDriver.Line, "%q is no driver version", t.minDriver.S)
	}
	set := map[string]int{}
	for _, a := range append(slices.Clone(m.build.cmake), m.build.cmakeCUDA...) {
		if match := cmakeArg.FindStringSubmatch(a.S); match != nil {
			set[match[1]] = a.Line
		}
	}
	w.checkCMake(t.cmake, set)
	if full {
		line, has := set[compression]
		since := semver.Compare(version, "v"+compressionSince) >= 0
		switch {
		case has && !since:
			w.fail(line, "%s acts from toolkit 12.8 on, and this is %s", compression, t.version.S)
		case !has && since:
			w.fail(t.version.Line, "%s must set %s: llama.cpp's default (size) makes code that drivers before 550.54.14 cannot read", what, compression)
		}
	}
	used := false
	for _, c := range m.cells {
		used = used || c.toolkit.S == t.version.S
	}
	if !used && !t.optional {
		w.fail(t.version.Line, "no cell uses %s; remove it or mark it optional", what)
	}
}

func (m *Matrix) checkImage(w *walker, what string, t *toolkit) {
	if t.image.S != "" && !imageRef.MatchString(t.image.S) {
		w.fail(t.image.Line, "%s: %q is no image reference", what, t.image.S)
	}
	if t.system.S != "" && m.systems[t.system.S] == nil {
		w.fail(t.system.Line, "%s: system %q is not described; known: %s", what, t.system.S, strings.Join(sorted(m.systems), ", "))
	}
	for _, name := range []string{"CC", "CXX"} {
		for where, env := range map[string]map[string]text{"env": t.env, "stand_in.env": t.standIn} {
			if _, ok := env[name]; env != nil && !ok {
				w.fail(t.version.Line, "%s: %s lacks %s", what, where, name)
			}
		}
	}
}

func (m *Matrix) checkCells(w *walker) {
	ids := map[string]int{}
	for _, c := range m.cells {
		if c.id.S != "" {
			if !cellID.MatchString(c.id.S) {
				w.fail(c.id.Line, "cell id %q: use lower-case letters, digits, dots and dashes, a letter or digit first", c.id.S)
			}
			if line, twice := ids[c.id.S]; twice {
				w.fail(c.id.Line, "cell id %q is taken in line %d", c.id.S, line)
			} else {
				ids[c.id.S] = c.id.Line
			}
		}
		m.checkPlatform(w, c.platform)
		m.checkTargets(w, c)
		w.checkRuntime(c.runtime, m.build.runtimeCalls)
		if c.toolkit.S == "" && len(c.runtime) > 0 {
			w.fail(c.runtime[0].Line, "cell %q has a CUDA runtime and no toolkit", c.id.S)
		}
	}
}

func (m *Matrix) checkTargets(w *walker, c *cell) {
	if c.toolkit.S == "" {
		for _, sm := range append(slices.Clone(c.sms), c.ptx...) {
			w.fail(sm.Line, "cell %q has SM %s and no toolkit to compile it", c.id.S, sm.S)
		}
		if m.cpu == nil {
			w.fail(c.line, "cell %q has no toolkit, and the matrix has no cpu block", c.id.S)
		}
		return
	}
	t := m.toolkits[c.toolkit.S]
	if t == nil {
		w.fail(c.toolkit.Line, "cell %q: toolkit %q is not described; known: %s", c.id.S, c.toolkit.S, strings.Join(sorted(m.toolkits), ", "))
		return
	}
	if len(c.sms) == 0 {
		w.fail(c.line, "cell %q has a toolkit and no sms", c.id.S)
	}
	for _, sm := range c.sms {
		m.checkSM(w, c, t, sm, "SM")
	}
	for _, sm := range c.ptx {
		m.checkSM(w, c, t, sm, "PTX target")
	}
	for _, sm := range c.faster {
		if !slices.ContainsFunc(c.sms, func(s text) bool { return s.S == sm.S }) {
			w.fail(sm.Line, "cell %q marks SM %s as faster and has no machine code for it", c.id.S, sm.S)
		}
	}
}

func (m *Matrix) checkSM(w *walker, c *cell, t *toolkit, sm text, kind string) {
	reason, refused := t.refuse[sm.S]
	switch {
	case !smName.MatchString(sm.S):
		w.fail(sm.Line, "%q is no %s; write 75 or 90a", sm.S, kind)
	case plain12X.MatchString(sm.S):
		w.fail(sm.Line, "cell %q: llama.cpp turns %s %s into %sa; write %sa", c.id.S, kind, sm.S, sm.S, sm.S)
	case !slices.Contains(plain(t.sms), sm.S):
		w.fail(sm.Line, "cell %q: toolkit %s cannot compile %s %s; it compiles %s",
			c.id.S, t.version.S, kind, sm.S, strings.Join(plain(t.sms), " "))
	case refused:
		w.fail(sm.Line, "cell %q: %s %s with toolkit %s: %s", c.id.S, kind, sm.S, t.version.S, reason.S)
	}
}

func sorted[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

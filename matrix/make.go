package matrix

import (
	_ "embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// The programs of the steps that are more than one command. Each runs as
// `sh -euc SCRIPT NAME ARG…`: paths are arguments, never part of the text.
var (
	//go:embed install.sh
	installScript string
	//go:embed record.sh
	recordScript string
	//go:embed witness.sh
	witnessScript string
	//go:embed tools.sh
	toolsScript string
	//go:embed draft.sh
	draftScript string
	//go:embed reuse.sh
	reuseScript string
	//go:embed reuse-tool.sh
	reuseTool string
	//go:embed reuse-host.sh
	reuseHost string
	//go:embed notices.sh
	noticesScript string
)

// ContainerDirs are the folders inside a container.
var ContainerDirs = Dirs{Source: "/src", Build: "/bld", Out: "/out", Cache: "/ccache"}

// OtherDirs are other folders inside a container: what two builds make in the two must
// not differ. Their names are as long: what cicc makes of large kernels follows from
// where its memory lies, and that from the length of names (docs/proof/reproducible.md).
var OtherDirs = Dirs{Source: "/rcs", Build: "/dlb", Out: "/tuo", Cache: "/ccache"}

// DraftDirs are ContainerDirs for a draft: what is compiled has the same names, so
// that ccache serves both.
var DraftDirs = Dirs{Source: ContainerDirs.Source, Build: ContainerDirs.Build, Out: ContainerDirs.Out, Cache: ContainerDirs.Cache, From: "/from"}

// draftTools is where a draft writes its tools: a kept folder cannot be read from outside.
const draftTools = "/llcuda/llcuda-tools.txt"

// Builders.
const (
	BuilderDagger = "dagger"
	BuilderHost   = "host"
)

// SourceID says which tree is built.
type SourceID struct {
	// URL and Ref say where it came from.
	URL, Ref string
	// Commit is the full commit id, "" where there is none.
	Commit string
	// Tree is the digest of the files, for a tree without commit or with changes.
	Tree string
	// Fixture marks this project's own test fixture.
	Fixture bool
}

// PlanOptions is what a plan depends on besides the matrix and the cell.
type PlanOptions struct {
	// Dirs are where the steps run; ContainerDirs for the Dagger builder.
	Dirs Dirs
	// ImageFor puts other images in place of the matrix's: toolkit version
	// ("12.4.1", or "12.4" where only one has it) or "cpu" → reference.
	ImageFor map[string]string
	Source   SourceID
	// Tool is the version of the program that plans.
	Tool string
	// Jobs limits parallel compilations; 0 = the build tool's own choice.
	Jobs int
	// Builder is "dagger" (also "") or "host". A host build takes the compilers
	// of its caller's environment and is not prepared.
	Builder string
	// Ccache says that a host has ccache. Images always have it.
	Ccache bool
	// NoCcache leaves it out of the plan wherever it is there.
	NoCcache bool
	// Draft plans for folders that are kept: DraftDirs and the Dagger builder only.
	Draft bool
}

// Plan makes the plan of a cell. Its error is about o; a loaded matrix and its
// cells are in order.
func (m *Matrix) Plan(c Cell, o PlanOptions) (Plan, error) {
	t := m.cpu
	if c.Toolkit != "" {
		t = m.toolkits[c.Toolkit]
	}
	if t == nil {
		return Plan{}, fmt.Errorf("the matrix has no toolkit %q", c.Toolkit)
	}
	images, err := m.images(o.ImageFor)
	if err != nil {
		return Plan{}, err
	}
	if o.Builder == "" {
		o.Builder = BuilderDagger
	}
	if o.Builder != BuilderDagger && o.Builder != BuilderHost {
		return Plan{}, fmt.Errorf("builder %q is not known; known: dagger, host", o.Builder)
	}
	if o.Draft && o.Builder == BuilderHost {
		return Plan{}, errors.New("a draft keeps its folders in the Dagger engine: the host builder makes none")
	}
	if err := checkDirs(c, o.Dirs); err != nil {
		return Plan{}, err
	}
	p := m.plan(c, t, images, o)
	p.Key = m.key(c, t, images, o)
	return p, nil
}

// place is where a plan runs: the image, made fit, and the environment of all
// steps.
func (m *Matrix) place(c Cell, t *toolkit, images map[string]string, o PlanOptions) Plan {
	cuda := c.Toolkit != ""
	p := Plan{Cell: c, Image: t.image.S, Dirs: o.Dirs, Fixture: o.Source.Fixture, ToolsFile: o.Dirs.Build + "/llcuda-tools.txt"}
	env := map[string]string{"CCACHE_DIR": o.Dirs.Cache}
	add := func(from map[string]text) {
		for k, v := range from {
			env[k] = v.S
		}
	}
	add(m.build.env)
	if o.Builder == BuilderHost {
		p.Image = BuilderHost
		// What a host's compilers make asks for the host's glibc: its floor is
		// read and published, and promised by nobody.
		p.Cell.Glibc = ""
	} else {
		name := c.Toolkit
		if !cuda {
			name = imageCPU
		}
		if ref := images[name]; ref != "" && ref != t.image.S {
			p.Image = ref
			p.StandIn = !strings.HasPrefix(ref, t.image.S+"@")
		}
		if p.StandIn && t.standInGlibc.S != "" {
			p.Cell.Glibc = t.standInGlibc.S
		}
		if p.StandIn && t.standIn != nil {
			add(t.standIn)
		} else {
			add(t.env)
		}
		if !p.StandIn {
			sys := m.systems[t.system.S]
			packages := append(plain(sys.packages), plain(t.packages)...)
			p.Prepare = append(p.Prepare, script("prepare", sys.prepare.S, packages...))
		}
		tools := []string{"cmake", "ninja", "ccache", "ld", "readelf", "strip", env["CC"], env["CXX"]}
		if cuda {
			tools = append(tools, "nvcc")
			if host := env["CUDAHOSTCXX"]; host != "" {
				tools = append(tools, host)
			}
		}
		p.Prepare = append(p.Prepare, script("prepare", toolsScript, tools...))
		if cuda {
			// Before an hour of compiling, not after it.
			p.Prepare = append(p.Prepare, script("prepare", noticesScript, "check"))
		}
	}
	for k, v := range env {
		p.Env = append(p.Env, k+"="+v)
	}
	sort.Strings(p.Env)
	return p
}

// plan is Plan without checks and key.
func (m *Matrix) plan(c Cell, t *toolkit, images map[string]string, o PlanOptions) Plan {
	cuda := c.Toolkit != ""
	p := m.place(c, t, images, o)
	if cuda && o.Builder != BuilderHost {
		reuse(&p)
	}
	p.CMake = m.cmake(c, t, o)
	p.Expect = slices.Concat(plain(m.build.targets), plain(m.build.expect))
	if cuda {
		p.Expect = append(p.Expect, plain(m.build.expectCUDA)...)
	}
	targets := plain(m.build.targets)
	installed := append(append(slices.Clone(targets), "--"), p.Expect...)
	if cuda {
		targets = append(targets, "ggml-cuda")
	}
	build := []string{"cmake", "--build", o.Dirs.Build}
	if o.Jobs > 0 {
		build = append(build, "--parallel", strconv.Itoa(o.Jobs))
	}
	if o.Draft {
		p.Draft, p.ToolsFile = true, draftTools
	}
	p.Steps = []Step{
		script("record", recordScript, p.ToolsFile),
		{Name: "configure", Args: slices.Concat([]string{"cmake", "-G", "Ninja", "-S", o.Dirs.Source, "-B", o.Dirs.Build},
			p.CMake, pathMaps(cuda, o.Dirs), launchers(cuda, o))},
		{Name: StepBuild, Args: append(append(build, "--target"), targets...)},
		script("install", installScript, append([]string{o.Dirs.Build + "/bin", o.Dirs.Out, o.Dirs.Source}, installed...)...),
	}
	if cuda {
		notices := []string{"copy", o.Dirs.Out + "/LICENSES"}
		if o.Builder == BuilderHost {
			notices = append(notices, "lenient") // such a bundle is not published to GitHub
		}
		p.Steps = append(p.Steps, script("notices", noticesScript, notices...))
	}
	switch {
	case o.Draft: // and nobody is asked a second time: cuobjdump takes seconds
		p.Steps = draft(p.Steps, o.Dirs)
	case cuda:
		p.WitnessFile = o.Dirs.Build + "/llcuda-witness.txt"
		p.Steps = append(p.Steps, script("witness", witnessScript, o.Dirs.Out, p.WitnessFile))
	}
	return p
}

// script is a step that runs text in a shell that stops at the first error.
func script(name, text string, args ...string) Step {
	return Step{Name: name, Args: append([]string{"sh", "-euc", text, name}, args...)}
}

// reuseBin is where the host compiler's stand-in for nvcc lies, see reuse.sh.
const reuseBin = "/llcuda/bin/"

// reuseTexts is where reuse.sh puts the texts of what stands before nvcc's programs.
const reuseTexts = "/llcuda/reuse.txt"

// reuse makes nvcc of an image compile each SM as for a cell of its own. It is part of
// what is built, ccache or not: see reuse-host.sh.
func reuse(p *Plan) {
	const variable = "CUDAHOSTCXX="
	args := []string{reuseTool, reuseHost, ReuseLog}
	for i, kv := range p.Env {
		if host, ok := strings.CutPrefix(kv, variable); ok {
			args = append(args, host)
			p.Env[i] = variable + reuseBin + path.Base(host)
		}
	}
	p.Reuse = true
	p.Prepare = append(p.Prepare, script("prepare", reuseScript, args...))
}

// draft joins all steps but record into one over kept folders: what follows
// configure and build is one line of shell.
func draft(steps []Step, d Dirs) []Step {
	args, after := []string{d.From, d.Source, d.Build}, []string{}
	for _, s := range steps[1:] {
		if s.Name == "configure" || s.Name == StepBuild {
			args = append(args, ShellLine(s.Args))
		} else {
			after = append(after, ShellLine(s.Args))
		}
	}
	return []Step{steps[0], script(StepBuild, draftScript, append(args, strings.Join(after, " && "))...)}
}

// ShellLine is argv as a line that a shell takes apart again into argv.
func ShellLine(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

// buildTag is a llama.cpp tag that carries its build number.
var buildTag = lazyregexp.New(`^b([1-9][0-9]{0,8})$`)

// cmake are the configure arguments that name no folder.
func (m *Matrix) cmake(c Cell, t *toolkit, o PlanOptions) []string {
	args := plain(m.build.cmake)
	if c.Toolkit != "" {
		args = append(args, plain(m.build.cmakeCUDA)...)
		args = append(args, plain(t.cmake)...)
		var archs []string
		for _, sm := range c.SMs {
			archs = append(archs, sm+"-real")
		}
		for _, sm := range c.PTX {
			archs = append(archs, sm+"-virtual")
		}
		args = append(args, "-DCMAKE_CUDA_ARCHITECTURES="+strings.Join(archs, ";"))
	}
	// llama.cpp asks git for its commit and for the number of commits. The
	// answer would depend on whether git and .git are there: git is taken away
	// (an empty GIT_EXE, a GIT_EXECUTABLE that only fails) and what is known is
	// told. A build number is known for upstream's bNNNN tags only; 0 says so.
	number := "0"
	if tag := buildTag.FindStringSubmatch(o.Source.Ref); tag != nil {
		number = tag[1]
	}
	commit := shortCommit(o.Source)
	if o.Draft {
		commit = "draft" // a new name with each change would link everything again
	}
	return append(args, "-DGIT_EXECUTABLE=/bin/false", "-DGIT_EXE=",
		"-DLLAMA_BUILD_NUMBER="+number, "-DLLAMA_BUILD_COMMIT="+commit)
}

// shortCommit is what llama-server will say it was built from.
func shortCommit(s SourceID) string {
	hex := func(x string) string { return x[:min(len(x), 12)] }
	switch {
	case commitID.MatchString(s.Commit) && s.Tree != "":
		return hex(s.Commit) + "-changed"
	case commitID.MatchString(s.Commit):
		return hex(s.Commit)
	case treeID.MatchString(s.Tree):
		return "tree-" + hex(strings.TrimPrefix(s.Tree, "sha256:"))
	default:
		return "unknown"
	}
}

var (
	commitID = lazyregexp.New(`^[0-9a-f]{7,64}$`)
	treeID   = lazyregexp.New(`^(sha256:)?[0-9a-f]{12,64}$`)
)

// pathMaps keep the builder's folders out of the finished files (assert and
// log texts hold __FILE__). The values are shell text for Ninja, so they are
// quoted where checkDirs lets something through that needs it.
func pathMaps(cuda bool, d Dirs) []string {
	flag := func(dir string) string {
		f := "-ffile-prefix-map=" + dir + "=."
		if strings.Contains(f, " ") {
			return `"` + f + `"`
		}
		return f
	}
	host := flag(d.Source) + " " + flag(d.Build)
	args := []string{"-DCMAKE_C_FLAGS=" + host, "-DCMAKE_CXX_FLAGS=" + host}
	if cuda {
		args = append(args, "-DCMAKE_CUDA_FLAGS=-Xcompiler "+flag(d.Source)+" -Xcompiler "+flag(d.Build))
	}
	return args
}

func launchers(cuda bool, o PlanOptions) []string {
	if o.NoCcache || o.Builder == BuilderHost && !o.Ccache {
		return nil
	}
	args := []string{"-DCMAKE_C_COMPILER_LAUNCHER=ccache", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"}
	if cuda {
		launcher := "ccache"
		if o.Builder != BuilderHost {
			// ccache knows nvcc by its bytes, not the programs that it starts.
			launcher = "env;CCACHE_EXTRAFILES=" + reuseTexts + ";ccache"
		}
		args = append(args, "-DCMAKE_CUDA_COMPILER_LAUNCHER="+launcher)
	}
	return args
}

// FolderError says that a folder's name cannot go through cmake, the shell and
// the compiler unharmed.
type FolderError struct{ Dir, Why string }

func (e *FolderError) Error() string {
	return fmt.Sprintf("folder %q %s", e.Dir, e.Why)
}

// Hint says what to do.
func (e *FolderError) Hint() string {
	return "use a folder with a plain name, such as one under $TMPDIR"
}

func checkDirs(c Cell, d Dirs) error {
	all := []string{d.Source, d.Build, d.Out, d.Cache}
	if d.From != "" {
		all = append(all, d.From)
	}
	for _, dir := range all {
		switch {
		case !strings.HasPrefix(dir, "/"):
			return &FolderError{dir, "is not an absolute path"}
		case strings.ContainsAny(dir, "\"'`$\\;=*?\n\r\t"):
			return &FolderError{dir, "holds a character that cmake or the shell would change"}
		}
	}
	if c.Toolkit != "" && strings.ContainsAny(d.Source+d.Build, " ,") {
		return &FolderError{d.Source + " or " + d.Build, "holds a space or comma, which nvcc splits at"}
	}
	return nil
}

// images spells the keys of --image as the matrix does.
func (m *Matrix) images(given map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for _, key := range sorted(given) {
		var found []string
		for _, name := range m.Toolkits() {
			if name == key || strings.HasPrefix(name, key+".") {
				found = append(found, name)
			}
		}
		ref := given[key]
		switch {
		case len(found) == 0:
			return nil, fmt.Errorf("--image %s=%s: the matrix has no such toolkit; it has %s", key, ref, strings.Join(m.Toolkits(), ", "))
		case len(found) > 1:
			return nil, fmt.Errorf("--image %s=%s: could be %s", key, ref, strings.Join(found, " or "))
		case ref == "":
			return nil, fmt.Errorf("--image %s=: no image given", key)
		case out[found[0]] != "":
			return nil, fmt.Errorf("--image: toolkit %s is given twice", found[0])
		}
		out[found[0]] = ref
	}
	return out, nil
}

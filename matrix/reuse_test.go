package matrix_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/matrix"
)

// reusing is a folder with the plan's own scripts before tools that only look like
// cicc, ptxas and a host compiler: they write down that they ran.
type reusing struct{ dir string }

func newReusing(t *testing.T) reusing {
	t.Helper()
	m, err := matrix.Load(matrix.DefaultName, matrix.Default())
	if err != nil {
		t.Fatal(err)
	}
	p := plan(t, m, "cuda12.4-sm86", options())
	i := slices.IndexFunc(p.Prepare, func(s matrix.Step) bool { return strings.HasPrefix(s.Args[2], "# shellcheck shell=sh\n# reuse ") })
	if i < 0 || !p.Reuse {
		t.Fatal("nothing prepares the image for reuse")
	}
	if !slices.Contains(p.Env, "CUDAHOSTCXX=/llcuda/bin/g++") {
		t.Errorf("nvcc is not given the host compiler's stand-in: %q", p.Env)
	}
	tool, host := p.Prepare[i].Args[4], p.Prepare[i].Args[5]
	r := reusing{t.TempDir()}
	fake := "#!/bin/sh\necho \"${0##*/} $*\" >>" + r.dir + "/ran\necho \"$MALLOC_CONF\" >" + r.dir + "/allocator\n"
	work := `for a; do case $next in -o) out=$a next= ; continue ;; --stub_file_name) echo stub >"$a" ;; esac; next=$a; case $a in *.ii|*.ptx) [ -e "$a" ] && in=$a ;; esac; done
[ "$(cat "$in")" != bad ] || { echo broken >&2; exit 3; }
echo "a warning" >&2
{ echo made of; cat "$in"; } >"$out"
`
	for name, text := range map[string]string{
		"cicc.llcuda-real": fake + work, "ptxas.llcuda-real": fake + work, "real-g++": fake, "cudafe++.llcuda-real": fake,
		"cicc":     fmt.Sprintf("#!/bin/sh\nreal=%s/cicc.llcuda-real digest=1\n%s", r.dir, tool),
		"ptxas":    fmt.Sprintf("#!/bin/sh\nreal=%s/ptxas.llcuda-real digest=1\n%s", r.dir, tool),
		"cudafe++": fmt.Sprintf("#!/bin/sh\nreal=%s/cudafe++.llcuda-real digest=1\n%s", r.dir, tool),
		"g++":      fmt.Sprintf("#!/bin/sh\nreal=%s/real-g++\n%s", r.dir, host),
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r reusing) write(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(r.dir, name)
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func (r reusing) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// call runs a tool and says what it printed and how often the real ones have run so far.
func (r reusing) call(t *testing.T, env string, args ...string) (said string, ran int, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(r.dir, args[0]), args[1:]...)
	cmd.Env = append(os.Environ(), env, "LLCUDA_REUSE_LOG="+filepath.Join(r.dir, "log"))
	out, err := cmd.CombinedOutput()
	text, _ := os.ReadFile(filepath.Join(r.dir, "ran"))
	return string(out), strings.Count(string(text), "\n"), err
}

func TestPtxasIsAskedOnceForTheSamePTX(t *testing.T) {
	r := newReusing(t)
	env := "LLCUDA_REUSE=" + filepath.Join(r.dir, "a cache")
	one := r.write(t, "tmpxft_1.ptx", "kernel")
	two := r.write(t, "tmpxft_2.ptx", "kernel")
	out := filepath.Join(r.dir, "out.cubin")
	steps := []struct {
		name string
		env  string
		args []string
		ran  int
	}{
		{"the first", env, []string{"ptxas", "-arch=sm_75", "-m64", one, "-o", out}, 1},
		{"the same under other names", env, []string{"ptxas", "-arch=sm_75", "-m64", two, "-o", out}, 1},
		{"another SM", env, []string{"ptxas", "-arch=sm_86", "-m64", two, "-o", out}, 2},
		{"an option that prints", env, []string{"ptxas", "-v", "-arch=sm_75", "-m64", two, "-o", out}, 3},
		{"a file that is not known", env, []string{"ptxas", "-arch=sm_75", "-m64", two, "-o", out, "--list", "/some/file"}, 4},
		{"no cache", "LLCUDA_REUSE=", []string{"ptxas", "-arch=sm_75", "-m64", two, "-o", out}, 5},
	}
	for _, s := range steps {
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
		said, ran, err := r.call(t, s.env, s.args...)
		if err != nil || ran != s.ran || said != "a warning\n" {
			t.Errorf("%s: %v, the real one ran %d times, want %d; said %q", s.name, err, ran, s.ran, said)
		}
		if got := r.read(t, "out.cubin"); got != "made of\nkernel" {
			t.Errorf("%s: made %q", s.name, got)
		}
	}
	if log := r.read(t, "log"); !regexp.MustCompile(`^made ptxas (\d+)\nreused ptxas (\d+)\nmade ptxas \d+\n$`).MatchString(log) {
		t.Errorf("log:\n%s", log)
	} else if f := strings.Fields(log); f[2] != f[5] {
		t.Errorf("what was reused took %s ms when it was made, not %s", f[5], f[2])
	}

	// An entry that is not what was put there is made again.
	entries, err := filepath.Glob(filepath.Join(r.dir, "a cache", "??", "*", "sum"))
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for _, e := range entries {
		if err := os.WriteFile(e, []byte(strings.Repeat("0", 64)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for want := 6; want <= 7; want++ {
		_, ran, err := r.call(t, env, "ptxas", "-arch=sm_75", "-m64", one, "-o", out)
		if got := r.read(t, "out.cubin"); err != nil || ran != 6 || got != "made of\nkernel" {
			t.Errorf("after damage: %v, ran %d times, want 6, made %q", err, ran, got)
		}
	}

	// What fails is not kept.
	bad := r.write(t, "bad.ptx", "bad")
	for want := 7; want <= 8; want++ {
		if said, ran, err := r.call(t, env, "ptxas", "-arch=sm_75", bad, "-o", out); err == nil || ran != want || said != "broken\n" {
			t.Errorf("a failure: %v, ran %d times, want %d, said %q", err, ran, want, said)
		}
	}
	left, err := filepath.Glob(filepath.Join(r.dir, "a cache", "new.*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestCiccIsAskedForTheStubOfTheHostAndOnceForTheRest(t *testing.T) {
	r := newReusing(t)
	env := "LLCUDA_REUSE=" + filepath.Join(r.dir, "cache")
	r.write(t, "id", "_1234_norm_cu")
	call := func(run, arch, text string, host bool) int {
		t.Helper()
		base := filepath.Join(r.dir, run+"-"+arch)
		in := r.write(t, run+"-"+arch+".ii", text)
		if host {
			r.write(t, run+"-"+arch+".cudafe1.cpp", "")
		}
		said, ran, err := r.call(t, env, "cicc", "--c++17", "--orig_src_file_name", "/src/norm.cu", "-arch", arch, "--include_file_name", run+".fatbin.c",
			"--module_id_file_name", filepath.Join(r.dir, "id"), "--gen_c_file_name", base+".cudafe1.c", "--stub_file_name", base+".cudafe1.stub.c",
			"--gen_device_file_name", base+".cudafe1.gpu", in, "-o", base+".ptx")
		if got := r.read(t, run+"-"+arch+".ptx"); err != nil || got != "made of\n"+text {
			t.Errorf("%s %s: %v, made %q, said %q", run, arch, err, got, said)
		}
		return ran
	}
	for _, s := range []struct {
		run, arch, text string
		host            bool
		ran             int
	}{
		{"thin", "compute_75", "text 75", true, 1},
		{"all", "compute_75", "text 75", false, 1},
		{"all", "compute_86", "text 86", true, 2},
		{"again", "compute_86", "text 86", true, 3}, // the host's stub is always cicc's own
		{"other", "compute_86", "text 86", false, 3},
		{"other", "compute_75", "text of another file", false, 4},
	} {
		if ran := call(s.run, s.arch, s.text, s.host); ran != s.ran {
			t.Errorf("%s %s: the real one ran %d times, want %d", s.run, s.arch, ran, s.ran)
		}
	}
	// Should a compiler read the stub of what was reused, it stops.
	if stub := r.read(t, "all-compute_75.cudafe1.stub.c"); !strings.Contains(stub, "#error") {
		t.Errorf("a stub that nobody made: %q", stub)
	}
	if stub := r.read(t, "again-compute_86.cudafe1.stub.c"); stub != "stub\n" {
		t.Errorf("the host's stub: %q", stub)
	}
	r.write(t, "id", "_5678_norm_cu")
	if ran := call("all", "compute_75", "text 75", false); ran != 5 {
		t.Errorf("another module id: ran %d times, want 5", ran)
	}
}

// nvcc would name a source that exports nothing after the folder and a process.
func TestASourceNamesItsModule(t *testing.T) {
	r := newReusing(t)
	for _, dir := range []string{"here", "there"} {
		if err := os.Mkdir(filepath.Join(r.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		r.write(t, dir+"/get-rows.cu", "text")
	}
	r.write(t, "here/other.cu", "text")
	r.write(t, "there/other.cu", "another text")
	find := func(tool, source string, more ...string) (id, told string) {
		t.Helper()
		file := r.write(t, "id", "untouched")
		said, _, err := r.call(t, "LLCUDA_REUSE=", append([]string{tool, "--orig_src_file_name", "x.cu", "--orig_src_path_name", filepath.Join(r.dir, source),
			"--gen_module_id_file", "--module_id_file_name", file}, more...)...)
		if err != nil {
			t.Fatalf("%s: %v, said %q", tool, err, said)
		}
		lines := strings.Split(strings.TrimSpace(r.read(t, "ran")), "\n")
		return r.read(t, "id"), lines[len(lines)-1]
	}
	in := r.write(t, "x.ii", "text")
	work := []string{in, "-o", filepath.Join(r.dir, "x.ptx")}
	first, told := find("cudafe++", "here/get-rows.cu")
	if !regexp.MustCompile(`^_[0-9a-f]{8}_11_get_rows_cu_[0-9a-f]{8}$`).MatchString(first) {
		t.Errorf("the module is named %q", first)
	}
	if got := r.read(t, "allocator"); got != "dirty_decay_ms:-1,muzzy_decay_ms:-1\n" {
		t.Errorf("the real one's jemalloc is told %q", got)
	}
	if strings.Contains(told, "--gen_module_id_file") || !strings.HasSuffix(told, "--module_id_file_name "+filepath.Join(r.dir, "id")) {
		t.Errorf("the real one, which is to take the name, was told %q", told)
	}
	if again, _ := find("cicc", "there/get-rows.cu", work...); again != first {
		t.Errorf("the same source in another folder is %q, not %q", again, first)
	}
	one, _ := find("cudafe++", "here/other.cu")
	two, _ := find("cudafe++", "there/other.cu")
	if one == two || one == first {
		t.Errorf("three sources, of which two are named %q and %q, the first %q", one, two, first)
	}
	for name, more := range map[string][]string{"a module to be linked with others": {"--device-c"}, "a source that is not there": {"--orig_src_path_name", "/nowhere"}} {
		if id, told := find("cudafe++", "here/other.cu", more...); id != "untouched" || !strings.Contains(told, "--gen_module_id_file") {
			t.Errorf("%s: named %q, told %q", name, id, told)
		}
	}

	// The run that names the module makes the host's stub: it is nobody else's.
	env := "LLCUDA_REUSE=" + filepath.Join(r.dir, "cache")
	for range 2 {
		_, before, _ := r.call(t, "", "real-g++")
		_, ran, err := r.call(t, env, append([]string{"cicc", "--orig_src_path_name", filepath.Join(r.dir, "here/other.cu"), "--gen_module_id_file",
			"--module_id_file_name", filepath.Join(r.dir, "id"), "--stub_file_name", filepath.Join(r.dir, "x.cudafe1.stub.c")}, work...)...)
		if err != nil || ran != before+1 {
			t.Errorf("%v, the real one ran %d times, want one", err, ran-before)
		}
	}
}

func TestAnSMsOwnReadingNamesItselfAlone(t *testing.T) {
	r := newReusing(t)
	// It reads as a preprocessor does: what is asked for is what is written.
	reads := "#!/bin/sh\necho \"$*\" >>" + r.dir + "/ran\n" + `for a; do case $next in -o) out=$a ;; esac; next=$a; done
case $* in *fails*) exit 4 ;; *cub*) echo "namespace CUB_1_SM_750_860_NS {}" >${out:-/dev/null} ;; *" -E "*) echo text >${out:-/dev/null} ;; esac
`
	if err := os.WriteFile(filepath.Join(r.dir, "real-g++"), []byte(reads), 0o755); err != nil {
		t.Fatal(err)
	}
	const full = "-D__CUDA_ARCH__=750 -D__CUDA_ARCH_LIST__=750,860 -E -x c++ "
	for _, c := range []struct {
		args, last string
		ran, code  int
	}{
		{full + "a.cu -o a.ii", strings.Replace(full, "750,860", "750", 1) + "a.cu -o a.ii", 2, 0},
		{full + "cub.cu -o a.ii", full + "cub.cu -o a.ii", 1, 0},
		{full + "fails.cu -o a.ii", full + "fails.cu -o a.ii", 1, 4},
		{full + "a.cu", full + "a.cu", 1, 0},
		{"-D__CUDA_ARCH__=750 -D__CUDA_ARCH_LIST__=750 -E a.cu -o a.ii", "-D__CUDA_ARCH__=750 -D__CUDA_ARCH_LIST__=750 -E a.cu -o a.ii", 1, 0}, // thin
		{"-D__CUDA_ARCH_LIST__=750,860 -E a.cu -o a.ii", "-D__CUDA_ARCH_LIST__=750,860 -E a.cu -o a.ii", 1, 0},                                 // the host's
		{"-D__CUDA_ARCH__=860 -D__CUDA_ARCH_LIST__=750,860 -c a.cpp -o a.o", "-D__CUDA_ARCH__=860 -D__CUDA_ARCH_LIST__=750,860 -c a.cpp -o a.o", 1, 0},
		{"--version", "--version", 1, 0},
	} {
		t.Chdir(t.TempDir())
		cmd := exec.CommandContext(t.Context(), filepath.Join(r.dir, "g++"), strings.Fields(c.args)...)
		_ = cmd.Run()
		lines := strings.Split(strings.TrimSpace(r.read(t, "ran")), "\n")
		if code := cmd.ProcessState.ExitCode(); code != c.code || len(lines) != c.ran || lines[len(lines)-1] != c.last {
			t.Errorf("%s: exit %d, want %d; ran %q, want %d, the last %q", c.args, code, c.code, lines, c.ran, c.last)
		}
		if err := os.Remove(filepath.Join(r.dir, "ran")); err != nil {
			t.Fatal(err)
		}
	}
}

// What is compiled where addresses are random is not mixed with the rest, and who
// builds is told.
func TestAddressesAreFixedWhereTheyCanBe(t *testing.T) {
	r := newReusing(t)
	bin := filepath.Join(r.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	// Addresses are those of files here; setarch is one that may or may not.
	text, err := os.ReadFile("reuse.sh")
	if err != nil {
		t.Fatal(err)
	}
	moved := strings.NewReplacer("/llcuda", r.dir+"/llcuda", "/proc/", r.dir+"/proc/").Replace(string(text))
	for _, dir := range []string{"llcuda", "proc/self", "proc/sys/kernel"} {
		if err := os.MkdirAll(filepath.Join(r.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, personality, randomize, setarch string
		addresses, still                      string
	}{
		{"a container of our engine", "00040000", "2", "exit 1", "fixed", "''"},
		{"a kernel where it is off for all", "00000000", "0", "exit 1", "fixed", "''"},
		{"a container that may ask", "00000000", "2", `shift 2; exec "$@"`, "fixed", `'setarch x86_64 -R'`},
		{"a container of another engine", "00000000", "2", "echo not permitted >&2; exit 1", "random", "''"},
		{"another bit of the personality", "00400000", "2", "exit 1", "random", "''"},
		{"nothing in /proc", "", "", "exit 1", "random", "''"},
	} {
		for name, text := range map[string]string{"proc/self/personality": c.personality, "proc/sys/kernel/randomize_va_space": c.randomize} {
			if os.Remove(filepath.Join(r.dir, name)); text != "" {
				r.write(t, name, text+"\n")
			}
		}
		digests := map[string]bool{}
		for name, text := range map[string]string{
			"setarch": c.setarch, "uname": "echo x86_64", "nvcc": "echo '#$ PATH=" + bin + ":' >&2",
			"cudafe++": "", "cicc": "", "ptxas": "",
		} {
			os.Remove(filepath.Join(bin, name+".llcuda-real"))
			if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-euc", moved, "prepare", "# tool", "# host", filepath.Join(r.dir, "log"))
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, out)
		}
		if got := r.read(t, "llcuda/addresses.txt"); got != c.addresses+"\n" {
			t.Errorf("%s: addresses are %q, not %s", c.name, got, c.addresses)
		}
		if got := r.read(t, "llcuda/reuse.txt"); got != "# tool\n# host\n"+c.addresses+"\n" {
			t.Errorf("%s: ccache is told %q", c.name, got)
		}
		if got := r.read(t, "bin/cicc"); !strings.Contains(got, " still="+c.still+"\n") {
			t.Errorf("%s: before cicc stands\n%s", c.name, got)
		}
		for _, name := range []string{"cudafe++", "cicc", "ptxas"} {
			digests[regexp.MustCompile(`digest=\w+`).FindString(r.read(t, "bin/"+name))] = true
		}
		if len(digests) != 1 || digests[""] {
			t.Errorf("%s: digests %v of the same programs", c.name, digests)
		}
		for d := range digests {
			r.write(t, "digest-"+c.addresses, d)
		}
	}
	if fixed, random := r.read(t, "digest-fixed"), r.read(t, "digest-random"); fixed == random {
		t.Errorf("%s is that of fixed addresses and of random ones", fixed)
	}
}

package matrix_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/matrix"
)

// tree is a build folder made by the machine's own compiler, in folders whose
// names hold a space.
type tree struct{ dirs matrix.Dirs }

func newTree(t *testing.T) tree {
	t.Helper()
	root := filepath.Join(t.TempDir(), "a folder")
	d := matrix.Dirs{Source: root + "/my src", Build: root + "/my bld", Out: root + "/my out", Cache: root + "/cc"}
	for name, body := range map[string]string{"LICENSE": "MIT", "AUTHORS": "us", "licenses/LICENSE-json": "MIT", "vendor/http/LICENSE": "MIT"} {
		file := filepath.Join(d.Source, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(d.Build+"/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	return tree{d}
}

// compile puts a program or library into bin.
func (tr tree) compile(t *testing.T, name string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "cc", append([]string{"-x", "c", "-", "-o", filepath.Join(tr.dirs.Build, "bin", name)}, args...)...)
	c.Stdin = strings.NewReader("static int hidden(void) { return 1; }\nint main(void) { return hidden() - 1; }\n")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
}

const stepsMatrix = `schema: 1
source: {url: https://example.com/l, ref: v1}
platform: linux/amd64
build:
  targets: [llama-server]
  cmake: [-DA=1]
  expect: [libllama.so.0, libggml-cpu-x64.so, LICENSES/llama.cpp.LICENSE]
systems:
  old: {glibc: "2.28", prepare: 'echo "$#:$1:$2"', packages: [p one, q]}
toolkits: {}
cpu:
  image: debian:bullseye-slim
  system: old
  env: {CC: cc, CXX: no-such-compiler}
cells: [{id: cpu}]
promise: []
`

func (tr tree) plan(t *testing.T) matrix.Plan {
	t.Helper()
	m, err := matrix.Load("m.yaml", []byte(stepsMatrix))
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Dirs = tr.dirs
	return plan(t, m, "cpu", o)
}

func run(t *testing.T, s matrix.Step) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), s.Args[0], s.Args[1:]...).CombinedOutput()
	return string(out), err
}

func step(t *testing.T, p matrix.Plan, name string) matrix.Step {
	t.Helper()
	i := slices.IndexFunc(p.Steps, func(s matrix.Step) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("the plan has no step %s", name)
	}
	return p.Steps[i]
}

func TestInstallMakesAFlatFolderOfWhatRuns(t *testing.T) {
	tr := newTree(t)
	tr.compile(t, "llama-server")
	tr.compile(t, "test-not-shipped")
	tr.compile(t, "libllama.so.0.5.0", "-shared", "-fPIC", "-Wl,-soname,libllama.so.0")
	tr.compile(t, "libggml-cpu-x64.so", "-shared", "-fPIC")
	for link, to := range map[string]string{"libllama.so.0": "libllama.so.0.5.0", "libllama.so": "libllama.so.0"} {
		if err := os.Symlink(to, filepath.Join(tr.dirs.Build, "bin", link)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := run(t, step(t, tr.plan(t), "install")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := map[string]string{}
	err := filepath.WalkDir(tr.dirs.Out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(tr.dirs.Out, path)
		got[rel] = info.Mode().String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"llama-server": "-rwxr-xr-x", "libllama.so.0": "-rw-r--r--", "libggml-cpu-x64.so": "-rw-r--r--",
		"LICENSES/llama.cpp.LICENSE": "-rw-r--r--", "LICENSES/llama.cpp.AUTHORS": "-rw-r--r--",
		"LICENSES/LICENSE-json": "-rw-r--r--", "LICENSES/http.LICENSE": "-rw-r--r--",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("installed (-want +got):\n%s", diff)
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(tr.dirs.Out, "llama-server")).CombinedOutput(); err != nil {
		t.Errorf("what was installed does not run: %v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(tr.dirs.Out, "llama-server"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "hidden") {
		t.Error("llama-server was not stripped")
	}
}

func TestInstallFailsWithASentence(t *testing.T) {
	for name, c := range map[string]struct {
		by   func(*testing.T, tree)
		want string
	}{
		"nothing was built": {func(t *testing.T, tr tree) {
			if err := os.RemoveAll(tr.dirs.Build); err != nil {
				t.Fatal(err)
			}
		}, "was anything built?"},
		"an executable is missing": {func(*testing.T, tree) {}, "executable llama-server was not built"},
		"a library is missing": {func(t *testing.T, tr tree) {
			tr.compile(t, "llama-server")
			tr.compile(t, "libllama.so.0", "-shared", "-fPIC")
		}, "expected and not built: libggml-cpu-x64.so"},
		"two libraries want one name": {func(t *testing.T, tr tree) {
			tr.compile(t, "llama-server")
			for _, f := range []string{"libllama.so.0.1", "libllama.so.0.2"} {
				tr.compile(t, f, "-shared", "-fPIC", "-Wl,-soname,libllama.so.0")
			}
		}, "two built files want the name libllama.so.0"},
		"a SONAME leads out": {func(t *testing.T, tr tree) {
			tr.compile(t, "llama-server")
			tr.compile(t, "libx.so", "-shared", "-fPIC", "-Wl,-soname,../libx.so")
		}, "the SONAME of libx.so is a path"},
		"the folder is not empty": {func(t *testing.T, tr tree) {
			if err := os.MkdirAll(tr.dirs.Out+"/old", 0o755); err != nil {
				t.Fatal(err)
			}
		}, "is not empty"},
		"the source has no licence": {func(t *testing.T, tr tree) {
			tr.compile(t, "llama-server")
			if err := os.Remove(tr.dirs.Source + "/LICENSE"); err != nil {
				t.Fatal(err)
			}
		}, "the source has no LICENSE"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t)
			c.by(t, tr)
			out, err := run(t, step(t, tr.plan(t), "install"))
			if err == nil || !strings.Contains(out, "install: ") || !strings.Contains(out, c.want) {
				t.Errorf("%v, said %q, want %q", err, out, c.want)
			}
		})
	}
}

func TestRecordWritesOnlyWhatIsKnown(t *testing.T) {
	tr := newTree(t)
	p := tr.plan(t)
	s := step(t, p, "record")
	c := exec.CommandContext(t.Context(), s.Args[0], s.Args[1:]...)
	c.Env = append(os.Environ(), "CC=cc", "CXX=no-such-compiler")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(p.ToolsFile)
	if err != nil {
		t.Fatal(err)
	}
	tools := map[string]string{}
	for line := range strings.Lines(string(data)) {
		k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok || k == "" || v == "" {
			t.Errorf("line %q is no key=value", line)
		}
		tools[k] = v
	}
	if _, ok := tools["cxx"]; ok {
		t.Error("a compiler that is not there has a version")
	}
	if !strings.HasPrefix(tools["libc"], "glibc 2.") || tools["cc"] == "" || tools["ld"] == "" {
		t.Errorf("recorded %q", tools)
	}
}

func TestPrepareInstallsThenLooksForEachTool(t *testing.T) {
	p := newTree(t).plan(t)
	if len(p.Prepare) != 2 {
		t.Fatalf("%d prepare steps", len(p.Prepare))
	}
	if out, err := run(t, p.Prepare[0]); err != nil || out != "2:p one:q\n" {
		t.Errorf("%v, packages arrived as %q", err, out)
	}
	out, err := run(t, p.Prepare[1])
	if err == nil || !strings.Contains(out, "this image lacks:") || !strings.Contains(out, " no-such-compiler") || strings.Contains(out, " readelf") {
		t.Errorf("%v, said %q", err, out)
	}
}

// NVIDIA's texts are found beside the nvcc on PATH, each is copied once, and a
// container without any is refused before it compiles.
func TestNoticesOfNVIDIAComeFromTheToolkit(t *testing.T) {
	step := func(name string) matrix.Step {
		p := plan(t, ours(t), "cuda11.8-sm75", options())
		for _, s := range append(slices.Clone(p.Prepare), p.Steps...) {
			if s.Args[3] == name && strings.Contains(s.Args[2], "notices:") {
				return s
			}
		}
		t.Fatalf("the plan has no step %s for notices", name)
		return matrix.Step{}
	}
	notices := func(name, path string, args ...string) (string, error) {
		c := exec.CommandContext(t.Context(), "sh", append([]string{"-euc", step(name).Args[2], name}, args...)...)
		c.Env = []string{"PATH=" + path + ":/usr/bin:/bin"}
		out, err := c.CombinedOutput()
		return string(out), err
	}
	toolkit := filepath.Join(t.TempDir(), "cuda-11.8")
	for name, text := range map[string]string{"bin/nvcc": "#!/bin/sh\n", "EULA.txt": "terms", "licences/libcub-dev": "cub", "licences/again": "terms"} {
		file := filepath.Join(toolkit, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if said, err := notices("prepare", toolkit+"/bin", "check"); err != nil {
		t.Errorf("check: %v\n%s", err, said)
	}
	out := t.TempDir()
	if said, err := notices("notices", toolkit+"/bin", "copy", out); err != nil {
		t.Fatalf("copy: %v\n%s", err, said)
	}
	for name, want := range map[string]string{"NVIDIA.again": "terms", "NVIDIA.libcub-dev": "cub"} {
		if got, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	if _, err := os.Stat(filepath.Join(out, "NVIDIA.EULA.txt")); err == nil {
		t.Error("a text that is there twice was copied twice")
	}
}

func TestAToolkitWithoutNoticesIsRefusedInAContainerOnly(t *testing.T) {
	for name, want := range map[string]string{matrix.BuilderDagger: "", matrix.BuilderHost: "lenient"} {
		o := options()
		o.Builder = name
		p := plan(t, ours(t), "cuda11.8-sm75", o)
		s := p.Steps[slices.IndexFunc(p.Steps, func(s matrix.Step) bool { return s.Name == "notices" })]
		if got := s.Args[len(s.Args)-1]; (got == "lenient") != (want == "lenient") {
			t.Errorf("%s: the step ends with %q", name, got)
		}
	}
}

package matrix_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/internal/golden"
	"github.com/waqasm86/llcuda/matrix"
)

func ours(t *testing.T) *matrix.Matrix {
	t.Helper()
	m, err := matrix.Load(matrix.DefaultName, matrix.Default())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var knownSource = matrix.SourceID{URL: "https://example.com/llama.cpp", Ref: "b6789",
	Commit: "0123456789abcdef0123456789abcdef01234567"}

func options() matrix.PlanOptions {
	return matrix.PlanOptions{Dirs: matrix.ContainerDirs, Source: knownSource, Tool: "test", Builder: matrix.BuilderDagger}
}

func plan(t *testing.T, m *matrix.Matrix, id string, o matrix.PlanOptions) matrix.Plan {
	t.Helper()
	c, err := m.Cell(id)
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.Plan(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func allPlans(t *testing.T) []matrix.Plan {
	t.Helper()
	m := ours(t)
	var plans []matrix.Plan
	for _, c := range m.AllCells() {
		plans = append(plans, plan(t, m, c.ID, options()))
	}
	return plans
}

func TestRenderedPlansOfAllCells(t *testing.T) {
	for name, write := range map[string]func(*bytes.Buffer) error{
		"plan.json":   func(b *bytes.Buffer) error { return matrix.WriteJSON(b, allPlans(t)) },
		"github.json": func(b *bytes.Buffer) error { return matrix.WriteGitHub(b, allPlans(t)) },
		"table.txt":   func(b *bytes.Buffer) error { return matrix.WriteTable(b, allPlans(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			golden.Check(t, name, b.Bytes())
		})
	}
}

func TestWholePlanOfACUDACellInAStandIn(t *testing.T) {
	o := options()
	o.ImageFor = map[string]string{"12.8": "llcuda/cuda12.8-devel:bullseye"}
	o.Jobs = 4
	p := plan(t, ours(t), "cuda12.8-blackwell", o)
	if !p.StandIn {
		t.Error("another image is not marked as a stand-in")
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "blackwell-standin.json", b.Bytes())
}

func TestTheCellsOfTheDesign(t *testing.T) {
	want := map[string][2]string{
		"cuda11.8-all":        {"50 60 61 70 75 80 86 89", ""},
		"cuda12.8-all":        {"50 60 61 70 75 80 86 89 90 100 120a", "90"},
		"cuda11.8-sm75":       {"75", ""},
		"cuda12.4-sm75":       {"75", ""},
		"cuda11.8-legacy":     {"50 60 61 70", ""},
		"cuda12.4-ampere-ada": {"80 86 89", ""},
		"cuda12.4-sm90":       {"90", ""},
		"cuda12.8-blackwell":  {"100 120a", "90"},
		"cpu":                 {"", ""},
	}
	got := map[string][2]string{}
	for _, c := range ours(t).Cells() {
		got[c.ID] = [2]string{strings.Join(c.SMs, " "), strings.Join(c.PTX, " ")}
		if c.Role == "" || c.Platform != "linux/amd64" {
			t.Errorf("cell %s: role %q, platform %q", c.ID, c.Role, c.Platform)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
}

func TestOptionalCellsAreFoundByNameOnly(t *testing.T) {
	m := ours(t)
	for what, id := range map[string]string{"a cell of an optional toolkit": "cuda13.0-all", "an optional cell": "cuda12.4-sm86"} {
		if slices.ContainsFunc(m.Cells(), func(c matrix.Cell) bool { return c.ID == id }) {
			t.Errorf("%s, %s, is built by default", what, id)
		}
		if _, err := m.Cell(id); err != nil {
			t.Error(err)
		}
	}
}

func TestUnknownCellNamesTheKnownOnes(t *testing.T) {
	_, err := ours(t).Cell("cuda12.8-al")
	hint, ok := err.(interface{ Hint() string })
	if !ok || !strings.Contains(hint.Hint(), "cuda12.8-all") {
		t.Fatalf("got %v", err)
	}
}

func TestPromiseIsTheOneOfTheDesign(t *testing.T) {
	got := map[string]string{}
	for _, p := range ours(t).Promise() {
		got[p.CC] = p.Driver + " " + p.Until
	}
	want := map[string]string{"5.0": "450.80.02 580", "5.2": "450.80.02 580", "6.0": "450.80.02 580", "6.1": "450.80.02 580",
		"7.0": "450.80.02 580", "7.5": "450.80.02 ", "8.0": "450.80.02 ", "8.6": "455.23 ", "8.9": "520.56.06 ",
		"9.0": "525.60.13 ", "10.0": "570.86 ", "10.3": "570.86 ", "12.0": "570.86 "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("promise (-want +got):\n%s", diff)
	}
}

func TestKeyFollowsWhatDecidesTheBytes(t *testing.T) {
	m := ours(t)
	base := plan(t, m, "cuda11.8-sm75", options()).Key
	change := map[string]struct {
		same bool
		by   func(*matrix.PlanOptions)
	}{
		"other folders":            {true, func(o *matrix.PlanOptions) { o.Dirs = matrix.Dirs{Source: "/a", Build: "/b", Out: "/c", Cache: "/d"} }},
		"more jobs":                {true, func(o *matrix.PlanOptions) { o.Jobs = 64 }},
		"the same tree from afar":  {true, func(o *matrix.PlanOptions) { o.Source.URL = "https://mirror.example" }},
		"another cell's image":     {true, func(o *matrix.PlanOptions) { o.ImageFor = map[string]string{"cpu": "llcuda/cpu"} }},
		"another commit":           {false, func(o *matrix.PlanOptions) { o.Source.Commit = strings.Repeat("9", 40) }},
		"changed files":            {false, func(o *matrix.PlanOptions) { o.Source.Tree = "sha256:" + strings.Repeat("a", 64) }},
		"the fixture":              {false, func(o *matrix.PlanOptions) { o.Source.Fixture = true }},
		"another tool":             {false, func(o *matrix.PlanOptions) { o.Tool = "other" }},
		"another image":            {false, func(o *matrix.PlanOptions) { o.ImageFor = map[string]string{"11.8.0": "llcuda/x"} }},
		"the host builder":         {false, func(o *matrix.PlanOptions) { o.Builder = matrix.BuilderHost }},
		"the number in the source": {false, func(o *matrix.PlanOptions) { o.Source.Ref = "b1" }},
	}
	for name, c := range change {
		t.Run(name, func(t *testing.T) {
			o := options()
			c.by(&o)
			if key := plan(t, m, "cuda11.8-sm75", o).Key; (key == base) != c.same {
				t.Errorf("same key: %v, want %v", key == base, c.same)
			}
		})
	}
	seen := map[string]string{}
	for _, p := range allPlans(t) {
		if other, twice := seen[p.Key]; twice {
			t.Errorf("cells %s and %s share a key", p.Cell.ID, other)
		}
		seen[p.Key] = p.Cell.ID
	}
}

func TestHostBuildsTakeTheCallersCompilers(t *testing.T) {
	m, o := ours(t), options()
	o.Builder = matrix.BuilderHost
	o.Dirs = matrix.Dirs{Source: "/s", Build: "/b", Out: "/o", Cache: "/c"}
	p := plan(t, m, "cuda12.4-sm90", o)
	if len(p.Prepare) != 0 || p.Image != "host" || p.StandIn {
		t.Errorf("prepare %v, image %q, stand-in %v", p.Prepare, p.Image, p.StandIn)
	}
	for _, kv := range p.Env {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains([]string{"CC", "CXX", "CUDAHOSTCXX", "PATH"}, name) {
			t.Errorf("a host build is given %s", kv)
		}
	}
	launcher := func(p matrix.Plan) bool {
		return slices.Contains(p.Steps[1].Args, "-DCMAKE_CUDA_COMPILER_LAUNCHER=ccache")
	}
	if launcher(p) {
		t.Error("ccache is the launcher on a host that has none")
	}
	o.Ccache = true
	if !launcher(plan(t, m, "cuda12.4-sm90", o)) {
		t.Error("ccache is there and not used")
	}
}

func TestSourceSaysItsCommitWithoutGit(t *testing.T) {
	tree := "sha256:" + strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		source matrix.SourceID
		want   []string
	}{
		"a commit":             {matrix.SourceID{Commit: knownSource.Commit}, []string{"-DLLAMA_BUILD_NUMBER=0", "-DLLAMA_BUILD_COMMIT=0123456789ab"}},
		"a numbered tag":       {knownSource, []string{"-DLLAMA_BUILD_NUMBER=6789"}},
		"a commit and changes": {matrix.SourceID{Commit: knownSource.Commit, Tree: tree}, []string{"-DLLAMA_BUILD_COMMIT=0123456789ab-changed"}},
		"files only":           {matrix.SourceID{Tree: tree}, []string{"-DLLAMA_BUILD_COMMIT=tree-abababababab"}},
		"nothing known":        {matrix.SourceID{}, []string{"-DLLAMA_BUILD_COMMIT=unknown"}},
		"a hostile commit":     {matrix.SourceID{Commit: `"; system("x`}, []string{"-DLLAMA_BUILD_COMMIT=unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Source = c.source
			p := plan(t, ours(t), "cpu", o)
			for _, arg := range append(c.want, "-DGIT_EXE=", "-DGIT_EXECUTABLE=/bin/false") {
				if !slices.Contains(p.CMake, arg) {
					t.Errorf("%s is not among %q", arg, p.CMake)
				}
			}
		})
	}
}

func TestAPinnedImageIsNoStandIn(t *testing.T) {
	m, o := ours(t), options()
	plain := plan(t, m, "cuda11.8-all", o)
	pinned := plain.Image + "@sha256:" + strings.Repeat("0", 64)
	o.ImageFor = map[string]string{"11.8.0": pinned}
	p := plan(t, m, "cuda11.8-all", o)
	if p.StandIn || p.Image != pinned {
		t.Errorf("image %s, stand-in %v", p.Image, p.StandIn)
	}
	if diff := cmp.Diff(plain.Prepare, p.Prepare); diff != "" {
		t.Errorf("prepared in another way:\n%s", diff)
	}
}

func TestPlanRefusesWhatItCannotKeep(t *testing.T) {
	dirs := func(source string) matrix.Dirs {
		return matrix.Dirs{Source: source, Build: "/b", Out: "/o", Cache: "/c"}
	}
	for name, c := range map[string]struct {
		cell string
		by   func(*matrix.PlanOptions)
		want string
	}{
		"an image for no toolkit":       {"cpu", func(o *matrix.PlanOptions) { o.ImageFor = map[string]string{"12.9.0": "x"} }, `no such toolkit`},
		"an image for two toolkits":     {"cpu", func(o *matrix.PlanOptions) { o.ImageFor = map[string]string{"12": "x"} }, `12.4.1 or 12.8.1`},
		"a builder nobody knows":        {"cpu", func(o *matrix.PlanOptions) { o.Builder = "docker" }, `builder "docker"`},
		"a relative folder":             {"cpu", func(o *matrix.PlanOptions) { o.Dirs = dirs("src") }, "not an absolute path"},
		"a list separator in a folder":  {"cpu", func(o *matrix.PlanOptions) { o.Dirs = dirs("/a;b") }, "would change"},
		"a space that nvcc would split": {"cuda11.8-all", func(o *matrix.PlanOptions) { o.Dirs = dirs("/a b") }, "nvcc"},
	} {
		t.Run(name, func(t *testing.T) {
			m, o := ours(t), options()
			c.by(&o)
			cell, err := m.Cell(c.cell)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = m.Plan(cell, o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestSpacesReachTheHostCompilerQuoted(t *testing.T) {
	o := options()
	o.Dirs.Source = "/my sources/llama"
	p := plan(t, ours(t), "cpu", o)
	want := `-DCMAKE_C_FLAGS="-ffile-prefix-map=/my sources/llama=." -ffile-prefix-map=/bld=.`
	if !slices.Contains(p.Steps[1].Args, want) {
		t.Errorf("no %s in %q", want, p.Steps[1].Args)
	}
	if slices.ContainsFunc(p.CMake, func(a string) bool { return strings.Contains(a, "/my") }) {
		t.Error("CMake names a folder")
	}
}

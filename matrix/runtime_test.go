package matrix_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/matrix"
)

func runtimePlan(t *testing.T, m *matrix.Matrix, id, form string, o matrix.PlanOptions) matrix.Plan {
	t.Helper()
	c, err := m.Cell(id)
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.RuntimePlan(c, form, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCellsOfOneToolkitShareTheirRuntime(t *testing.T) {
	m := ours(t)
	thin, all := runtimePlan(t, m, "cuda11.8-sm75", "stock", options()), runtimePlan(t, m, "cuda11.8-all", "stock", options())
	if thin.Cell.ID != "cuda11.8.0-stock" || thin.Key != all.Key || thin.Cell.ID != all.Cell.ID {
		t.Errorf("stock of 11.8 is %s %s for one cell and %s %s for another", thin.Cell.ID, thin.Key, all.Cell.ID, all.Key)
	}
	another := options()
	another.Source.Commit, another.Jobs = "fedcba9876543210fedcba9876543210fedcba98", 7
	another.Dirs.Out = "/elsewhere/out"
	if again := runtimePlan(t, m, "cuda11.8-sm75", "stock", another); again.Key != thin.Key {
		t.Error("another llama.cpp, another folder or more jobs make another runtime")
	}
	if other := runtimePlan(t, m, "cuda12.4-sm75", "stock", options()); other.Key == thin.Key {
		t.Error("another toolkit has the same runtime")
	}
	image := options()
	image.ImageFor = map[string]string{"11.8": "llcuda/cuda11.8-devel:bullseye"}
	if other := runtimePlan(t, m, "cuda11.8-sm75", "stock", image); other.Key == thin.Key || !other.StandIn {
		t.Error("a stand-in's libraries pass for those of NVIDIA's image")
	}
}

func TestALeanRuntimeKeepsEverySMThatServesTheCellsGPUs(t *testing.T) {
	m := ours(t)
	for id, want := range map[string]string{
		"cuda11.8-sm75":       "70 72 75", // never 75 alone: most kernels for Turing are sm_70's
		"cuda11.8-legacy":     "50 52 53 60 61 62 70 72 75",
		"cuda12.4-ampere-ada": "80 86 87 89",
		"cuda12.4-sm90":       "90 90a",
		"cuda12.8-blackwell":  "100 100a 101 101a 120 120a",
	} {
		p := runtimePlan(t, m, id, "lean", options())
		if got := strings.Join(p.Cell.SMs, " "); got != want {
			t.Errorf("%s: kept are %s, want %s", id, got, want)
		}
		args := p.Steps[len(p.Steps)-1].Args
		if n := slices.Index(args, "--"); n < 0 || strings.Join(args[n+1:], " ") != want || !slices.Contains(args[:n], "cublasGemmEx") {
			t.Errorf("%s: the step's arguments are %q", id, args[4:])
		}
	}
	if p := runtimePlan(t, m, "cuda11.8-sm75", "lean", options()); p.Cell.ID != "cuda11.8.0-lean-70-72-75" {
		t.Errorf("its name is %s", p.Cell.ID)
	}
}

func TestFormsOfTheRuntime(t *testing.T) {
	m := ours(t)
	forms := map[string][]string{}
	for _, id := range []string{"cpu", "cuda11.8-sm75"} {
		c, err := m.Cell(id)
		if err != nil {
			t.Fatal(err)
		}
		forms[id] = c.Runtime
	}
	if d := cmp.Diff(map[string][]string{"cpu": nil, "cuda11.8-sm75": {"host", "stock"}}, forms); d != "" {
		t.Errorf("published forms (-want +got):\n%s", d)
	}
	text := string(matrix.Default())
	for name, c := range map[string]struct{ from, to, want string }{
		"a form of nobody's":      {"runtime: [host, stock]", "runtime: [host, pruned]", `runtime "pruned" is not known; known, best first: host, lean, stock`},
		"the large one first":     {"runtime: [host, stock]", "runtime: [stock, host]", "runtime host stands after stock; best first: host, lean, stock"},
		"a name that is no call":  {"- cublasCreate_v2", "- cublas-create", `"cublas-create" is no name of a function`},
		"a runtime without a GPU": {"  - id: cpu\n", "  - id: cpu\n    runtime: [host]\n", `cell "cpu" has a CUDA runtime and no toolkit`},
	} {
		if !strings.Contains(text, c.from) {
			t.Fatalf("%s: the matrix has no %q", name, c.from)
		}
		if _, err := matrix.Load("cuda.yaml", []byte(strings.Replace(text, c.from, c.to, 1))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	own, err := matrix.Load("cuda.yaml", []byte(strings.Replace(text, "  - id: cuda11.8-sm75\n", "  - id: cuda11.8-sm75\n    runtime: [host, lean, stock]\n", 1)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := own.Cell("cuda11.8-sm75")
	if err != nil || !slices.Equal(c.Runtime, []string{"host", "lean", "stock"}) {
		t.Errorf("a cell's own forms: %v, %v", c.Runtime, err)
	}
	if a, b := plan(t, m, "cuda11.8-sm75", options()).Key, plan(t, own, "cuda11.8-sm75", options()).Key; a != b {
		t.Error("the forms of its runtime change the key of a cell's own bytes")
	}
	if err := m.CheckRuntime([]string{"host", "lean"}); err != nil {
		t.Error(err)
	}
	if err := m.CheckRuntime([]string{"none"}); err == nil {
		t.Error("--runtime none was taken")
	}
}

package compat

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

// randomHost is a machine that could be: any driver of the data, up to three
// GPUs, now and then with something odd about it.
func randomHost(r *rand.Rand) facts.Host {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	drivers, ccs := knownDrivers(), table().CCs()
	driver := drivers[r.IntN(len(drivers))].String()
	var gpus []string
	for range r.IntN(4) {
		gpus = append(gpus, ccs[r.IntN(len(ccs))].String())
	}
	if len(gpus) > 1 && r.IntN(2) == 0 {
		gpus[1] = gpus[0]
	}
	h := hostWith(driver, gpus...)
	h.Libc, h.Glibcxx = pick("2.17", "2.27", "2.31", "2.39", ""), pick("3.4.19", "3.4.30", "")
	h.Driver.Source = pick("nvml", SourceGiven)
	if r.IntN(4) == 0 {
		h.Driver.CUDA = ""
	}
	if r.IntN(3) == 0 {
		h.Libs = []facts.HostLib{{Soname: pick("libcublas.so.11", "libcublas.so.12", "libcublas.so.13"), Path: "/x", Version: pick("", "11.8.1", "12.4.5.8")}}
	}
	for i := range h.GPUs {
		switch r.IntN(12) {
		case 0:
			h.GPUs[i].Visible = false
		case 1:
			h.GPUs[i].CC, h.GPUs[i].Name = "", pick("Tesla T4", "Voodoo 2")
		case 2:
			h.GPUs[i].MIG = true
		}
	}
	switch r.IntN(16) {
	case 0:
		h.Driver, h.Unknown = nil, map[string]string{"driver": pick("none", NotGiven)}
	case 1:
		h.Driver.Compat, h.Driver.Kernel = true, drivers[r.IntN(len(drivers))].String()
	case 2:
		h.Driver.InitError = []int{100, 803, 804, 999}[r.IntN(4)]
	case 3:
		h.Env = map[string]string{pick("CUDA_FORCE_PTX_JIT", "CUDA_DISABLE_PTX_JIT"): "1"}
	case 4:
		h.GPUs, h.Unknown = nil, map[string]string{"gpus": "no NVML"}
	case 5:
		h.Driver.Kernel = drivers[r.IntN(len(drivers))].String()
	}
	return h
}

// checkChoices holds one random release and one random host against what must
// always be so.
func checkChoices(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 11))
	m := randomManifest(seed, 12)
	if r.IntN(2) == 0 {
		m.Bundles = append(m.Bundles, newRelease().cell("cpu", "", 9, facts.File{Path: "libggml-cpu.so"}).m.Bundles...)
		m.Parts[digest("cpu")] = bundles.Part{Kind: bundles.PartApp, Size: 9}
	}
	h := randomHost(r)
	o := ChooseOptions{Unknown: r.IntN(4) == 0, CPU: r.IntN(6) == 0}
	rank := func(v string) int { return slices.Index(verdictOrder[:], v) }
	d := Decide(m, h, o)
	verdictOf := map[string]facts.Candidate{}
	for _, c := range d.Candidates {
		verdictOf[c.Bundle] = c
	}
	best := func(d Decision) int {
		if d.Choice == nil {
			return rank(facts.VerdictRefused)
		}
		return rank(verdictOf[d.Choice.Bundle].Verdict)
	}

	// The order of the manifest is of no importance.
	shuffled := *m
	shuffled.Bundles = slices.Clone(m.Bundles)
	r.Shuffle(len(shuffled.Bundles), func(i, j int) {
		shuffled.Bundles[i], shuffled.Bundles[j] = shuffled.Bundles[j], shuffled.Bundles[i]
	})
	if again := Decide(&shuffled, h, o); !reflect.DeepEqual(d, again) {
		t.Fatalf("seed %d: the order of the manifest matters:\n%s", seed, cmp.Diff(d, again))
	}

	// Another bundle makes no host worse off.
	fewer := *m
	fewer.Bundles = slices.Delete(slices.Clone(m.Bundles), 0, 1+r.IntN(len(m.Bundles)-1))
	if before := Decide(&fewer, h, o); best(d) > best(before) {
		t.Fatalf("seed %d: more bundles made it worse: %+v, before %+v", seed, d.Choice, before.Choice)
	}

	for _, c := range d.Candidates {
		if c.Verdict != facts.VerdictNative && c.Verdict != facts.VerdictJIT && c.Verdict != facts.VerdictCPU && len(c.Reasons) == 0 {
			t.Fatalf("seed %d: %s is %s without a reason", seed, c.Bundle, c.Verdict)
		}
		for _, r := range c.Reasons {
			if r.Code == "" || r.Text == "" || r.Sure == "" {
				t.Fatalf("seed %d: %s: a reason without code, text or certainty: %+v", seed, c.Bundle, r)
			}
		}
		if d.Choice == nil && !o.CPU && runs(c) {
			t.Fatalf("seed %d: %s is %s and nothing is chosen", seed, c.Bundle, c.Verdict)
		}
	}
	checkChoice(t, seed, d, h, o)
	if p := d.Proposal; p != nil {
		// What is proposed must hold: with those GPUs hidden the bundle runs.
		hidden := h
		hidden.GPUs = slices.Clone(h.GPUs)
		for _, i := range p.Hide {
			hidden.GPUs[i].Visible = false
		}
		i := slices.IndexFunc(m.Bundles, func(b bundles.Bundle) bool { return b.ID == p.Bundle })
		only := *m
		only.Bundles = m.Bundles[i : i+1]
		if c, all := Choose(&only, hidden, ChooseOptions{}); len(p.Hide) == 0 || c == nil {
			t.Fatalf("seed %d: proposal %+v does not hold: %+v", seed, p, all)
		}
	}
	checkNewerDriver(t, seed, m, h, verdictOf)
}

// checkChoice: the processor alone only where it is asked for or there is no
// NVIDIA GPU, and then it is said.
func checkChoice(t *testing.T, seed uint64, d Decision, h facts.Host, o ChooseOptions) {
	t.Helper()
	switch {
	case d.Choice == nil && d.Explanation == "":
		t.Fatalf("seed %d: nothing chosen and nothing said", seed)
	case d.Choice == nil || d.Choice.Via != "cpu" || o.CPU:
	case h.GPUs == nil || len(h.GPUs) > 0:
		t.Fatalf("seed %d: the processor in silence: %+v", seed, h.GPUs)
	case d.Explanation == "":
		t.Fatalf("seed %d: the processor without a word", seed)
	}
}

// checkNewerDriver: a newer driver makes nothing worse, but for a GPU that its
// branch dropped.
func checkNewerDriver(t *testing.T, seed uint64, m *bundles.Manifest, h facts.Host, before map[string]facts.Candidate) {
	t.Helper()
	if h.Driver == nil || h.Driver.Compat || h.Driver.Kernel != h.Driver.Libcuda {
		return
	}
	rank := func(v string) int { return slices.Index(verdictOrder[:], v) }
	for _, v := range knownDrivers() {
		if v.Compare(version(h.Driver.Kernel)) <= 0 {
			continue
		}
		newer := h
		drv := *h.Driver
		drv.Kernel, drv.Libcuda = v.String(), v.String()
		if drv.CUDA != "" {
			drv.CUDA, _ = table().CUDAOf(v.String())
		}
		newer.Driver = &drv
		for _, c := range Decide(m, newer, ChooseOptions{}).Candidates {
			old := before[c.Bundle]
			if rank(c.Verdict) > rank(old.Verdict) && !slices.Contains(codes(c.Reasons), facts.GPUDropped) {
				t.Fatalf("seed %d: driver %s turned %s of %s into %s: %+v", seed, v, old.Verdict, c.Bundle, c.Verdict, c.Reasons)
			}
		}
	}
}

func TestWhatMustAlwaysBeSoOfChoices(t *testing.T) {
	for seed := range uint64(60) {
		checkChoices(t, seed)
	}
}

func FuzzChoices(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed + 1000)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { checkChoices(t, seed) })
}

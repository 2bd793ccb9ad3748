package compat

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func readYAML(t testing.TB) Facts {
	t.Helper()
	data, err := os.ReadFile("data/cuda.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var f Facts
	if err := dec.Decode(&f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTheCompiledTableIsTheYAML(t *testing.T) {
	loaded, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(readYAML(t), loaded.Facts); d != "" {
		t.Errorf("run go generate ./internal/compat (-yaml +compiled):\n%s", d)
	}
}

func TestTheTableAgreesWithItself(t *testing.T) {
	tab := table()
	for _, b := range tab.Facts.DriverBranches.Branches {
		if got := tab.MaxISA(b.CUDA); got != b.MaxPTXISA {
			t.Errorf("branch %s reports CUDA %s: the ISA table says PTX %s, the branch table %s", b.Branch, b.CUDA, got, b.MaxPTXISA)
		}
	}
	for _, r := range tab.Facts.Toolkits.Releases {
		if d := tab.isas[r.PTXISA.ISA]; version(r.Version).Less(d.cuda) {
			t.Errorf("CUDA %s makes PTX %s, which is said to need CUDA %s", r.Version, r.PTXISA.ISA, d.cuda)
		}
		for rel, d := range r.MinDrivers.Map {
			if cuda, _ := tab.CUDAOf(d); cuda != r.Version {
				t.Errorf("driver %s of CUDA %s lies in a branch that reports %q", d, rel, cuda)
			}
		}
	}
	for _, r := range tab.Facts.Toolkits.Releases {
		sms, _ := tab.Targets(r.Version + ".1")
		if len(sms) != len(r.SMs.List) {
			t.Errorf("targets of CUDA %s: %v", r.Version, sms)
		}
		for _, sm := range sms {
			if isa, _ := tab.MinISA(sm); isa == "" || version(r.PTXISA.ISA).Less(version(isa)) {
				t.Errorf("CUDA %s makes PTX %s and compiles for sm_%s, which is said to need %q", r.Version, r.PTXISA.ISA, sm, isa)
			}
		}
	}
	var sure []string
	for _, i := range tab.Facts.PTXISAs.ISAs {
		sure = append(sure, i.Verified)
	}
	for _, b := range tab.Facts.DriverBranches.Branches {
		sure = append(sure, b.Verified)
	}
	for _, r := range tab.Facts.Toolkits.Releases {
		sure = append(sure, r.SMs.Verified, r.PTXISA.Verified, r.MinDrivers.Verified)
	}
	for _, s := range sure {
		if !slices.Contains(levels[:], s) {
			t.Errorf("%q is not a level of certainty", s)
		}
	}
}

func TestABrokenTableIsRefused(t *testing.T) {
	for name, f := range map[string]Facts{
		"another schema":   {Schema: 2},
		"a broken version": {Schema: 1, PTXISAs: PTXISAs{ISAs: []ISA{{ISA: "8.x", CUDA: "12.0"}}}},
		"a broken cc":      {Schema: 1, GPUs: GPUNames{List: []GPUs{{CC: "86"}}}},
	} {
		if _, err := NewTable(f); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNamesLeadToComputeCapabilities(t *testing.T) {
	for name, want := range map[string]string{
		"Tesla T4": "7.5", "NVIDIA A100-SXM4-40GB": "8.0", "NVIDIA A10": "8.6", "NVIDIA A10G": "", "Tesla P100-PCIE-16GB": "6.0", "NVIDIA GeForce RTX 4090": "8.9",
		"NVIDIA GeForce GTX 1660 Ti": "7.5", "NVIDIA L4": "8.9", "NVIDIA H100 80GB HBM3": "9.0", "NVIDIA RTX PRO 6000 Blackwell Server Edition": "12.0", "Voodoo 2": "", "": "",
	} {
		cc, ok := table().CCByName(name)
		if got := cc.String(); ok != (want != "") || ok && got != want {
			t.Errorf("%q: got %s, %v, want %q", name, got, ok, want)
		}
	}
	for name, want := range map[string][2]bool{"Tesla T4": {true, true}, "NVIDIA GeForce RTX 3090": {false, true}, "GeForce RTX 9999": {false, true}, "": {false, false}, "Mystery": {false, false},
		"NVIDIA RTX A6000": {false, false}, "Quadro RTX 8000": {false, false}, "NVIDIA TITAN V": {false, true}, "NVIDIA RTX PRO 6000 Blackwell Server Edition": {true, true}} {
		if yes, known := table().Datacenter(name); [2]bool{yes, known} != want {
			t.Errorf("data center %q: got %v %v, want %v", name, yes, known, want)
		}
	}
}

func TestNumbersOfTheBusLeadToComputeCapabilities(t *testing.T) {
	seen := map[string]string{}
	for _, p := range table().Facts.GPUs.PCI {
		if _, ok := table().CCByName(p.Name); !ok {
			t.Errorf("%s has numbers and no compute capability", p.Name)
		}
		for _, id := range p.IDs {
			if other, twice := seen[id]; twice {
				t.Errorf("%s is %s and %s", id, other, p.Name)
			}
			seen[id] = p.Name
		}
	}
	for id, want := range map[string]string{"10de:1eb8": "Tesla T4", "10de:15f8": "Tesla P100-PCIE-16GB", "1002:1eb8": "", "1eb8": "", "": ""} {
		if got := table().NameByPCI(id); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
}

func TestForwardCompatBasesAreBranchesOfTheTable(t *testing.T) {
	for _, p := range table().Facts.ForwardCompat.Packages {
		for _, base := range p.Base {
			if cuda, _ := table().CUDAOf(base + ".1"); cuda == "" || !version(cuda).Less(version(p.CUDA)) {
				t.Errorf("the package of CUDA %s runs over branch %s, which reports %q", p.CUDA, base, cuda)
			}
		}
	}
}

func TestErrorsHaveTheirReason(t *testing.T) {
	for code, want := range map[int]string{35: "driver-too-old", 222: "ptx-isa-too-new", 209: "no-kernel-image", 500: "no-kernel-image", 200: "compression-too-new", 804: "compat-not-supported",
		803: "driver-mismatch", 34: "stub-libcuda", 221: "jit-missing", 36: "call-needs-newer-driver", 100: "no-gpu"} {
		if e, ok := table().ErrorByCode(code); !ok || e.Reason != want || e.Text == "" {
			t.Errorf("%d: got %+v", code, e)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := NewTable(compiled()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseYAML is why the table is compiled in.
func BenchmarkParseYAML(b *testing.B) {
	for b.Loop() {
		readYAML(b)
	}
}

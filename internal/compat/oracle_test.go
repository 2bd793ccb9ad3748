package compat

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// launched is docs/proof/oracle.json: what a real driver did with small programs of
// every kind (scripts/oracle), and the facts of their files beside it.
type launched struct {
	Device string     `json:"device"`
	Driver string     `json:"driver"`
	Host   facts.Host `json:"host"`
	Cases  []struct {
		Name      string `json:"name"`
		Env       string `json:"env"`
		Predicted struct {
			Verdict   string `json:"verdict"`
			CUDAError int    `json:"cuda_error"`
		} `json:"predicted"`
		Actual *int `json:"actual"`
		Exit   int  `json:"exit"`
		Agree  bool `json:"agree"`
		Units  []struct {
			Unit      int    `json:"unit"`
			Plain     int    `json:"plain"`
			At        string `json:"at"`
			NoJIT     int    `json:"no_jit"`
			Forced    int    `json:"forced"`
			Ran       int    `json:"ran"`
			RanForced int    `json:"ran_forced"`
		} `json:"units"`
	} `json:"cases"`
}

func readOracle(t *testing.T) (launched, map[string]facts.File) {
	t.Helper()
	var e launched
	var f struct {
		Files []facts.File `json:"files"`
	}
	for name, into := range map[string]any{"oracle.json": &e, "oracle-facts.json": &f} {
		data, err := os.ReadFile("../../docs/proof/" + name)
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]facts.File{}
	for _, c := range e.Cases {
		for i, u := range c.Units {
			// What cudart 11.8 says of a variable whose unit has no image, for 209.
			if u.Plain == 400 && u.At == "to-symbol" {
				c.Units[i].Plain = 209
			}
			if u.Forced == 400 {
				c.Units[i].Forced = 209
			}
		}
	}
	for _, file := range f.Files {
		files[file.Path] = file
	}
	if len(e.Cases) < 120 || len(files) != len(e.Cases) {
		t.Fatalf("%d cases and the facts of %d files: that is not the evidence of a GPU", len(e.Cases), len(files))
	}
	return e, files
}

// under is the host as a program with these variables meets it.
func under(h facts.Host, env string) facts.Host {
	h.GPUs = slices.Clone(h.GPUs)
	more := map[string]string{}
	for k, v := range h.Env {
		more[k] = v
	}
	for _, set := range strings.Fields(env) {
		k, v, _ := strings.Cut(set, "=")
		more[k] = v
		if k == "CUDA_VISIBLE_DEVICES" && v == "-1" {
			for i := range h.GPUs {
				h.GPUs[i].Visible = false
			}
		}
	}
	h.Env = more
	return h
}

func firstError(c facts.Candidate) int {
	for _, r := range c.Reasons {
		if r.CUDAError != 0 {
			return r.CUDAError
		}
	}
	return 0
}

// The verdict must be what the driver did, whatever was predicted on that day.
func TestTheRulesSayWhatTheDriverDid(t *testing.T) {
	e, files := readOracle(t)
	for _, c := range e.Cases {
		got := judgeFile(files[c.Name], under(e.Host, c.Env))
		want, errors := facts.VerdictNative, map[int]bool{}
		for _, u := range c.Units {
			if u.Plain != 0 {
				errors[u.Plain] = true
			}
			if u.NoJIT != 0 && want == facts.VerdictNative {
				want = facts.VerdictJIT
			}
		}
		switch {
		case len(errors) > 0 || c.Exit != 0:
			want = facts.VerdictRefused
		case len(c.Units) == 0:
			want = facts.VerdictCPU // it defines nothing that could be started
		}
		if got.Verdict != want || len(errors) > 0 && !errors[firstError(got)] {
			t.Errorf("%s: on %s with driver %s it was %s %v, the rules say %s, CUDA error %d", c.Name, e.Device, e.Driver, want, errors, got.Verdict, firstError(got))
		}
	}
}

// What a unit alone is told must be what it met: as many of each error as the
// rules say of the units one by one. With CUDA_FORCE_PTX_JIT=1 it is what a file
// without machine code meets.
func TestEveryUnitMetTheErrorThatTheRulesSay(t *testing.T) {
	e, files := readOracle(t)
	checked := 0
	isSASS := func(i facts.Image) bool { return i.Kind == facts.KindSASS }
	for _, c := range e.Cases {
		f, h := files[c.Name], under(e.Host, c.Env)
		if f.Device == nil || c.Exit != 0 || slices.ContainsFunc(f.Device.Groups, func(g facts.Group) bool { return g.Linked }) {
			continue
		}
		var said, met, forced, metForced []int
		for _, g := range f.Device.Groups {
			if g.Empty {
				continue
			}
			one, d := f, *f.Device
			d.Groups = []facts.Group{g}
			one.Device = &d
			without := d
			without.Groups = []facts.Group{g}
			without.Groups[0].Images = slices.DeleteFunc(slices.Clone(g.Images), isSASS)
			two := f
			two.Device = &without
			for range g.Units {
				said = append(said, firstError(judgeFile(one, h)))
				forced = append(forced, firstError(judgeFile(two, h)))
			}
		}
		for _, u := range c.Units {
			met, metForced = append(met, u.Plain), append(metForced, u.Forced)
		}
		for _, s := range [][]int{said, met, forced, metForced} {
			slices.Sort(s)
		}
		if !slices.Equal(said, met) {
			t.Errorf("%s: its units met %v, the rules say %v", c.Name, met, said)
		}
		if !slices.Equal(forced, metForced) {
			t.Errorf("%s: with machine code passed over its units met %v, the rules say %v", c.Name, metForced, forced)
		}
		checked += len(met)
	}
	if checked < 120 {
		t.Errorf("only %d units were held against what they met", checked)
	}
}

// The kernels tell for which target they were compiled: the image that the driver
// took must be the one that pick picks.
func TestPickTakesTheImageThatTheDriverTook(t *testing.T) {
	e, files := readOracle(t)
	checked := 0
	for _, c := range e.Cases {
		f := files[c.Name]
		if f.Device == nil || len(f.Device.Groups) != 1 || f.Device.Groups[0].Linked || len(c.Units) != 1 || c.Units[0].Ran <= 0 {
			continue
		}
		cc, err := ParseCC(e.Host.GPUs[0].CC)
		if err != nil {
			t.Fatal(err)
		}
		p := table().pick(f.Device.Groups[0].Images, cc)
		target := p.image.SM
		if p.image.Holds != "" {
			target = p.image.Holds
		}
		sm, err := ParseSM(target)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if ran := sm.Major*100 + sm.Minor*10; ran != c.Units[0].Ran {
			t.Errorf("%s: code compiled for %d ran, the rules pick %s %s", c.Name, c.Units[0].Ran, p.via, p.image.SM)
		}
		if (p.via == facts.ViaPTX) != (c.Units[0].NoJIT == 223) {
			t.Errorf("%s: without the driver's compiler it met %d, the rules pick %s", c.Name, c.Units[0].NoJIT, p.via)
		}
		checked++
	}
	if checked < 60 {
		t.Errorf("only %d choices of a driver were held against ours", checked)
	}
}

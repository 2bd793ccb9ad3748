package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
)

// device holds the device code of one file against the cell.
func (c *check) device(f facts.File) {
	if inspect.IsNVIDIA(soname(f)) {
		return
	}
	if c.cell.Toolkit == "" {
		c.miss(DeviceUnexpected, f.Path, "", fmt.Sprintf("it holds device code (%s), which a cell without CUDA has no use for", units(f.Device.Units)), "build with GGML_CUDA=OFF")
		return
	}
	if t := f.Device.Toolkit; t != "" && !strings.HasPrefix(c.cell.Toolkit+".", t+".") {
		c.miss(ToolkitDiffers, f.Path, "", fmt.Sprintf("its device code was made by CUDA %s, the cell says %s", t, c.cell.Toolkit), "look which nvcc the image has")
	}
	own := judged(f.Device)
	c.targets(f, own, facts.KindSASS, c.cell.SMs)
	c.targets(f, own, facts.KindPTX, c.cell.PTX)
	c.compression(f, own)
	c.oddities(f, own)
}

// judged are the groups whose every unit must keep the promise.
func judged(d *facts.Device) []facts.Group {
	var own []facts.Group
	for _, g := range d.Groups {
		if !g.Empty && g.Owner != facts.OwnerNVIDIA {
			own = append(own, g)
		}
	}
	return own
}

// targets holds that every unit has an image of a kind for every SM promised,
// and for no other.
func (c *check) targets(f facts.File, own []facts.Group, kind string, want []string) {
	total := count(own)
	for _, sm := range want {
		lacking := slices.DeleteFunc(slices.Clone(own), func(g facts.Group) bool { return has(g, kind, sm) })
		if len(lacking) == 0 {
			continue
		}
		code, name, fix := SASSMissing, "no machine code for sm_"+sm, "build with "+sm+"-real among CMAKE_CUDA_ARCHITECTURES"
		if kind == facts.KindPTX {
			code, name, fix = PTXMissing, "no PTX for compute_"+sm, "build with "+sm+"-virtual among CMAKE_CUDA_ARCHITECTURES"
		}
		text := fmt.Sprintf("%s in %d of %s: %s", name, count(lacking), units(total), instead(lacking))
		c.miss(code, f.Path, sm, text, fix)
	}
	for _, sm := range surprises(own, kind, want) {
		with := slices.DeleteFunc(slices.Clone(own), func(g facts.Group) bool { return !has(g, kind, sm) })
		code, name := SASSUnexpected, "machine code for sm_"+sm
		if kind == facts.KindPTX {
			code, name = PTXUnexpected, "PTX for compute_"+sm
		}
		c.miss(code, f.Path, sm, fmt.Sprintf("%s in %d of %s, which the cell does not promise", name, count(with), units(total)),
			"take it out of CMAKE_CUDA_ARCHITECTURES, or promise it in the matrix")
	}
}

func has(g facts.Group, kind, sm string) bool {
	return slices.ContainsFunc(g.Images, func(i facts.Image) bool { return i.Kind == kind && i.SM == sm })
}

// surprises are the SMs of a kind that nobody promised, in the report's order.
func surprises(own []facts.Group, kind string, want []string) []string {
	var list []string
	for _, g := range own {
		for _, i := range g.Images {
			if i.Kind == kind && !slices.Contains(want, i.SM) && !slices.Contains(list, i.SM) {
				list = append(list, i.SM)
			}
		}
	}
	return list
}

// instead says what units hold that lack something: "139 hold PTX only
// (compute_75, ISA 7.8)".
func instead(groups []facts.Group) string {
	var words []string
	for i, g := range groups {
		if i == 3 {
			words = append(words, fmt.Sprintf("%d others differ again", count(groups[i:])))
			break
		}
		verb := "hold "
		if g.Units == 1 {
			verb = "holds "
		}
		what := inspect.Images(g.Images)
		if len(g.Images) > 0 && !slices.ContainsFunc(g.Images, func(i facts.Image) bool { return i.Kind != facts.KindPTX }) {
			what = "PTX only (" + ptx(g.Images) + ")"
		}
		words = append(words, fmt.Sprintf("%d %s%s", g.Units, verb, what))
	}
	return strings.Join(words, "; ")
}

func ptx(images []facts.Image) string {
	var words []string
	for _, i := range images {
		words = append(words, "compute_"+i.SM+", ISA "+i.ISA)
	}
	return strings.Join(words, "; ")
}

// compression holds that images are stored as promised: so that the oldest
// driver reads them, or, where no driver is promised, not compressed at all
// but for PTX as fatbinary makes it.
func (c *check) compression(f facts.File, own []facts.Group) {
	type way struct{ kind, how string }
	found := map[way]int{}
	var seen []way
	for _, g := range own {
		here := map[way]bool{}
		for _, i := range g.Images {
			w := way{i.Kind, i.Compression}
			if c.reads(i) || here[w] {
				continue
			}
			here[w] = true
			if found[w] == 0 {
				seen = append(seen, w)
			}
			found[w] += g.Units
		}
	}
	for _, w := range seen {
		kind := "machine code"
		if w.kind == facts.KindPTX {
			kind = "PTX"
		}
		why := ""
		if c.options.MinDriver != "" {
			why = ", which driver " + c.options.MinDriver + " of the promise " + readers(w.how)
		}
		c.miss(Compressed, f.Path, "", fmt.Sprintf("%s is compressed (%s) in %d of %s%s", kind, w.how, found[w], units(count(own)), why),
			"build with GGML_CUDA_COMPRESSION_MODE=none")
	}
}

// reads says whether an image is stored as promised.
func (c *check) reads(i facts.Image) bool {
	if c.options.MinDriver == "" {
		return i.Compression == CompressionNone || i.Compression == CompressionLZ4 && (i.Kind == facts.KindPTX || c.options.Compression == CompressionLZ4)
	}
	return readBy(i, c.options.MinDriver)
}

// oddities are what no cell promises.
func (c *check) oddities(f facts.File, own []facts.Group) {
	differs, linked, mixed := 0, 0, 0
	for _, g := range own {
		if slices.ContainsFunc(g.Images, func(i facts.Image) bool { return i.Kind == facts.KindPTX && i.ISAHeader != "" && i.ISA != i.ISAHeader }) {
			differs += g.Units
		}
		if g.Linked {
			linked += g.Units
		}
		if g.Owner == facts.OwnerMixed {
			mixed += g.Units
		}
	}
	if differs > 0 {
		c.miss(PTXISADiffers, f.Path, "", fmt.Sprintf("the PTX text and its header name different ISAs in %s", units(differs)), "the file was changed after it was built: build it anew")
	}
	if mixed > 0 {
		c.miss(MixedOwner, f.Path, "", fmt.Sprintf("NVIDIA's images and others are mixed in %s", units(mixed)), "link NVIDIA's libraries unchanged")
	}
	if linked > 0 {
		c.miss(RelocatableCode, f.Path, "", fmt.Sprintf("it holds relocatable device code (%s), which llama.cpp does not use", units(linked)), "build without -rdc=true and CUDA_SEPARABLE_COMPILATION")
	}
}

func count(groups []facts.Group) int {
	n := 0
	for _, g := range groups {
		n += g.Units
	}
	return n
}

func units(n int) string {
	if n == 1 {
		return "1 unit"
	}
	return fmt.Sprintf("%d units", n)
}

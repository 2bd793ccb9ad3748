package inspect

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// device gathers what the containers of a file, or of an archive's members,
// hold.
type device struct {
	groups      map[string]*facts.Group
	relocatable map[string]*facts.Group
	sass, ptx   map[facts.Target]*count
	// toolkits of units; spare ones are those of other containers and count
	// where no unit names one.
	toolkits, spare map[string]bool
	unknown         map[string]int
	look            examiner
	stubs           []facts.Image
	stub, inputs    int
	units           int
	linked          bool
	static          bool
}

type count struct{ units, entries int }

func newDevice() *device {
	return &device{groups: map[string]*facts.Group{}, relocatable: map[string]*facts.Group{}, sass: map[facts.Target]*count{}, ptx: map[facts.Target]*count{},
		toolkits: map[string]bool{}, spare: map[string]bool{}, unknown: map[string]int{}, look: examiner{told: map[string]bool{}}}
}

// found says whether there was any device code.
func (d *device) found() bool { return d.units+d.stub+d.inputs+len(d.unknown) > 0 }

// object adds the containers of a host ELF file.
func (d *device) object(o *object) error {
	var all []*container
	for _, s := range o.named(sectionFatbin) {
		g, err := o.window(s)
		if err != nil {
			return err
		}
		list, err := readContainers(g)
		if err != nil {
			return err
		}
		all = append(all, list...)
	}
	inputsDefine, err := d.readInputs(o)
	if err != nil {
		return err
	}
	pointed, err := d.readPointers(o)
	if err != nil {
		return err
	}
	for _, c := range all {
		w, ok := pointed[c.off-uint64(o.off)]
		delete(pointed, c.off-uint64(o.off))
		if err := d.classify(c, w, ok, inputsDefine); err != nil {
			return err
		}
	}
	// What is left points outside .nv_fatbin.
	for _, off := range slices.Sorted(maps.Keys(pointed)) {
		if err := d.elsewhere(o, off, pointed[off], inputsDefine); err != nil {
			return err
		}
	}
	return nil
}

// readPointers maps places in the object to the wrapper that points there.
func (d *device) readPointers(o *object) (map[uint64]wrapper, error) {
	pointed := map[uint64]wrapper{}
	for _, s := range o.named(sectionWrappers) {
		list, err := readWrappers(o, s)
		if err != nil {
			return nil, err
		}
		for _, w := range list {
			if what := w.unknown(); what != "" {
				d.unknown[what]++
			}
			if !w.known {
				d.unknown["wrapper whose pointer the file does not resolve"]++
				continue
			}
			pointed[w.target] = w
		}
	}
	return pointed, nil
}

// readInputs adds the inputs of relocatable device code and says whether any
// of them but NVIDIA's own device runtime defines something.
func (d *device) readInputs(o *object) (bool, error) {
	defines := false
	for _, s := range o.named(sectionRelFatbin) {
		g, err := o.window(s)
		if err != nil {
			return false, err
		}
		list, err := readContainers(g)
		if err != nil {
			return false, err
		}
		for _, c := range list {
			u, err := d.look.examine(c)
			if err != nil {
				return false, err
			}
			owner, err := d.look.ownerOfInput(u, c)
			if err != nil {
				return false, err
			}
			d.inputs++
			defines = defines || owner == facts.OwnerOwn
			addGroup(d.relocatable, u, owner, false)
			d.note(u, d.spare)
		}
	}
	return defines, nil
}

// classify decides what a container is: a unit, the linked image of
// relocatable code, or the device linker's stub.
func (d *device) classify(c *container, w wrapper, pointed, inputsDefine bool) error {
	u, err := d.look.examine(c)
	if err != nil {
		return err
	}
	linked := w.version == versionLinked
	if !pointed || linked && !u.defines && !inputsDefine {
		d.stub++
		d.stubs = append(d.stubs, u.images...)
		d.note(u, d.spare)
		return nil
	}
	if linked {
		// The program's kernels are in the inputs, if not in the linked image.
		d.linked, u.defines = true, true
	}
	d.unit(u, linked)
	return nil
}

// elsewhere handles a wrapper that points outside .nv_fatbin: into the inputs of
// relocatable code, which were read, or to a container in another section.
func (d *device) elsewhere(o *object, off uint64, w wrapper, inputsDefine bool) error {
	for _, s := range o.named(sectionRelFatbin) {
		if off >= s.off && off-s.off < s.size {
			return nil
		}
	}
	c, _, err := readContainer(o.region, off)
	if err != nil {
		return err
	}
	return d.classify(c, w, true, inputsDefine)
}

// unit adds a unit to the groups and the summary.
func (d *device) unit(u *unit, linked bool) {
	d.units++
	addGroup(d.groups, u, facts.OwnerOwn, linked)
	d.note(u, d.toolkits)
	seen := map[facts.Target]bool{}
	for _, i := range u.images {
		t := facts.Target{SM: i.SM, Compression: i.Compression}
		sum := d.sass
		switch i.Kind {
		case facts.KindSASS:
		case facts.KindPTX:
			t.ISA, sum = i.ISA, d.ptx
		default:
			continue
		}
		n := sum[t]
		if n == nil {
			n = &count{}
			sum[t] = n
		}
		n.entries++
		// In seen a PTX target differs from machine code by its ISA.
		if !seen[t] {
			seen[t] = true
			n.units++
		}
	}
}

// note records toolkits and unknown things, each once per container.
func (d *device) note(u *unit, toolkits map[string]bool) {
	for _, t := range u.toolkits {
		toolkits[t] = true
	}
	slices.Sort(u.unknown)
	for _, what := range slices.Compact(u.unknown) {
		d.unknown[what]++
	}
}

// addGroup counts a unit among those with the same set of images.
func addGroup(groups map[string]*facts.Group, u *unit, owner string, linked bool) {
	images := slices.Clone(u.images)
	slices.SortFunc(images, compareImages)
	images = slices.Compact(images)
	if !u.defines {
		owner = ""
	}
	key := fmt.Sprint(owner, linked, images)
	g := groups[key]
	if g == nil {
		g = &facts.Group{Owner: owner, Empty: !u.defines, Linked: linked, Images: images}
		groups[key] = g
	}
	g.Units++
}

// facts sums up. soname decides whose units they are.
func (d *device) facts(e *facts.ELF) *facts.Device {
	if !d.found() {
		return nil
	}
	owner, needed := "", []string(nil)
	if e != nil {
		needed = e.Needed
		if IsNVIDIA(e.Soname) {
			owner = facts.OwnerNVIDIA
		}
	}
	f := &facts.Device{Units: d.units, SASS: targets(d.sass), PTX: targets(d.ptx), Groups: sortGroups(d.groups, owner),
		Relocatable: sortGroups(d.relocatable, owner), Cudart: cudart(needed, d.static)}
	if len(f.Relocatable) == 0 {
		f.Relocatable = nil
	}
	f.Toolkit = oneToolkit(d.toolkits, d.spare)
	ignored := facts.Ignored{Stub: d.stub, Images: d.stubs}
	if !d.linked {
		ignored.Relocatable = d.inputs
	}
	if ignored.Stub+ignored.Relocatable > 0 {
		slices.SortFunc(ignored.Images, compareImages)
		f.Ignored = &ignored
	}
	for _, what := range slices.Sorted(maps.Keys(d.unknown)) {
		f.Unknown = append(f.Unknown, facts.Unknown{What: what, Units: d.unknown[what]})
	}
	return f
}

func oneToolkit(sets ...map[string]bool) string {
	for _, set := range sets {
		if len(set) > 1 {
			return "mixed"
		}
		for t := range set {
			return t
		}
	}
	return ""
}

func targets(sum map[facts.Target]*count) []facts.Target {
	list := []facts.Target{}
	for t, n := range sum {
		if t.Units = n.units; n.entries != n.units {
			t.Entries = n.entries
		}
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b facts.Target) int {
		return cmp.Or(compareSM(a.SM, b.SM), compareVersion(a.ISA, b.ISA), cmp.Compare(a.Compression, b.Compression))
	})
	return list
}

// sortGroups puts the groups of most units and images first. owner, where given, is whose
// all of them are.
func sortGroups(groups map[string]*facts.Group, owner string) []facts.Group {
	keys := slices.SortedFunc(maps.Keys(groups), func(a, b string) int {
		return cmp.Or(cmp.Compare(groups[b].Units, groups[a].Units), cmp.Compare(len(groups[b].Images), len(groups[a].Images)), -cmp.Compare(a, b))
	})
	list := make([]facts.Group, 0, len(keys))
	for _, k := range keys {
		g := *groups[k]
		if owner != "" && !g.Empty {
			g.Owner = owner
		}
		list = append(list, g)
	}
	return list
}

// cudart says how the CUDA runtime is linked, nil where no trace of it is.
func cudart(needed []string, static bool) *facts.Cudart {
	for _, n := range needed {
		if rest, ok := strings.CutPrefix(n, "libcudart.so."); ok {
			c := &facts.Cudart{Link: "shared"}
			for _, r := range rest {
				if r < '0' || r > '9' || c.Major > 999 {
					break
				}
				c.Major = c.Major*10 + int(r-'0')
			}
			return c
		}
	}
	if static {
		return &facts.Cudart{Link: "static"}
	}
	return nil
}

// redistributable are the stems of the libraries that NVIDIA's CUDA EULA lists
// in Attachment A, the driver's own, and cuDNN's and NCCL's.
var redistributable = []string{"libcublas", "libcublasLt", "libcudart", "libnvblas", "libcufft", "libcufftw", "libcusparse", "libcusolver", "libcusolverMg",
	"libcurand", "libnpp", "libnvjpeg", "libnvrtc", "libnvrtc-builtins", "libnvvm", "libnvJitLink", "libcupti", "libnvToolsExt", "libcufile",
	"libcuda", "libnvidia-", "libcudnn", "libnccl"}

// IsNVIDIA says whether a SONAME is that of a library NVIDIA ships. A name is
// no proof: the content is to be compared once the table of digests is there.
func IsNVIDIA(soname string) bool {
	stem, _, ok := strings.Cut(soname, ".so")
	if !ok {
		return false
	}
	return slices.ContainsFunc(redistributable, func(lib string) bool {
		return stem == lib || (lib == "libnpp" || lib == "libcudnn" || lib == "libnvidia-") && strings.HasPrefix(stem, lib)
	})
}

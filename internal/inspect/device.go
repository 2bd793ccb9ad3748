package inspect

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// device gathers what the containers of a file, or of an archive's members,
// hold.
type device struct {
	// each asks for a list of all units, list is it.
	each        bool
	list        []facts.Unit
	groups      map[string]*group
	relocatable map[string]*group
	sass, ptx   map[facts.Target]*count
	// toolkits of units; those of units that are NVIDIA's by digest, and spare
	// ones, of other containers, count where no other unit names one: cuBLAS is
	// made by several releases, and ours by one.
	toolkits, theirs, spare map[string]bool
	unknown                 map[string]int
	look                    examiner
	left                    allowance
	stubs                   []facts.Image
	stub, inputs            int
	units                   int
	linked                  bool
	static                  bool
	// node says that the library defines the version node of its SONAME.
	node bool
	// allOf and someOf are the libraries of the table that all, and that any, of
	// NVIDIA's images are of.
	allOf, someOf byte
	// visit, where set, is called with all containers in place of judging them.
	visit func(*container) error
}

type count struct{ units, entries int }

// newDevice is for a file of size bytes, whose images are looked up in t.
func newDevice(t *nvtable, size int64) *device {
	return &device{groups: map[string]*group{}, relocatable: map[string]*group{}, sass: map[facts.Target]*count{}, ptx: map[facts.Target]*count{},
		toolkits: map[string]bool{}, theirs: map[string]bool{}, spare: map[string]bool{}, unknown: map[string]int{}, allOf: 0xff,
		left: allowance{containers: maxContainers, entries: maxEntries},
		look: examiner{told: map[string]bool{}, table: t, unpacker: unpacker{budget: unpackFree + unpackRatio*size}}}
}

// found says whether there was any device code.
func (d *device) found() bool { return d.units+d.stub+d.inputs+len(d.unknown) > 0 }

// object adds the containers of a host ELF file.
func (d *device) object(o *object) error {
	fatbins, inputs, err := d.sections(o)
	if err != nil {
		return err
	}
	if d.visit != nil {
		for _, g := range fatbins {
			if err := eachContainer(g, &d.left, d.visit); err != nil {
				return err
			}
		}
		return nil
	}
	inputsDefine, err := d.readInputs(inputs)
	if err != nil {
		return err
	}
	pointed, err := d.readPointers(o)
	if err != nil {
		return err
	}
	for _, g := range fatbins {
		err := eachContainer(g, &d.left, func(c *container) error {
			at := c.off - uint64(o.off)
			w, ok := pointed[at]
			delete(pointed, at)
			return d.classify(c, w, ok, inputsDefine)
		})
		if err != nil {
			return err
		}
	}
	// What is left points outside .nv_fatbin.
	for _, off := range slices.Sorted(maps.Keys(pointed)) {
		if err := d.elsewhere(o, off, pointed[off], inputs, inputsDefine); err != nil {
			return err
		}
	}
	return nil
}

// maxStubImages bounds the list of images in containers that nothing points to:
// a file has one or two.
const maxStubImages = 1 << 16

// maxNamed bounds how many sections of one name are read: linkers make one.
const maxNamed = 64

// sections are the windows of the fat binaries and of the inputs of relocatable
// code.
func (d *device) sections(o *object) (fatbins, inputs []region, err error) {
	if fatbins, err = d.windows(o, sectionFatbin); err != nil {
		return nil, nil, err
	}
	inputs, err = d.windows(o, sectionRelFatbin)
	return fatbins, inputs, err
}

// windows are the sections of a name.
func (d *device) windows(o *object, name string) ([]region, error) {
	list := o.named(name)
	if len(list) > maxNamed {
		return nil, o.fail(0, "%d sections %s", len(list), name)
	}
	var all []region
	for _, s := range list {
		g, err := o.window(s)
		if err != nil {
			return nil, err
		}
		g.r = &ahead{r: g.r}
		all = append(all, g)
	}
	return all, nil
}

// readPointers maps places in the object to the wrapper that points there.
func (d *device) readPointers(o *object) (map[uint64]wrapper, error) {
	pointed := map[uint64]wrapper{}
	named := o.named(sectionWrappers)
	if len(named) > maxNamed {
		return nil, o.fail(0, "%d sections %s", len(named), sectionWrappers)
	}
	for _, s := range named {
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
func (d *device) readInputs(inputs []region) (bool, error) {
	defines := false
	for _, g := range inputs {
		err := eachContainer(g, &d.left, func(c *container) error {
			u, err := d.look.examine(c)
			if err != nil {
				return err
			}
			owner, err := d.look.ownerOfInput(u, c)
			if err != nil {
				return err
			}
			d.inputs++
			defines = defines || owner == facts.OwnerOwn
			addGroup(d.relocatable, u, owner, false)
			d.note(u, d.spare)
			return nil
		})
		if err != nil {
			return false, err
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
		if d.stubs = append(d.stubs, u.images...); len(d.stubs) > maxStubImages {
			return c.fail("more than %d images in containers that nothing points to", maxStubImages)
		}
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
func (d *device) elsewhere(o *object, off uint64, w wrapper, inputs []region, inputsDefine bool) error {
	at := o.off + int64(off)
	for _, g := range inputs {
		if at >= g.off && at-g.off < g.size {
			return nil
		}
	}
	c, _, err := readContainer(o.region, off, &d.left)
	if err != nil {
		return err
	}
	return d.classify(c, w, true, inputsDefine)
}

// unit adds a unit to the groups and the summary.
func (d *device) unit(u *unit, linked bool) {
	d.units++
	if d.each {
		d.list = append(d.list, facts.Unit{Offset: u.off, Size: u.size, Empty: !u.defines, Linked: linked, Images: u.images})
	}
	addGroup(d.groups, u, u.owner, linked)
	if u.owner == facts.OwnerNVIDIA {
		d.allOf, d.someOf = d.allOf&u.allOf, d.someOf|u.someOf
	}
	if u.owner == facts.OwnerNVIDIA {
		d.note(u, d.theirs)
	} else {
		d.note(u, d.toolkits)
	}
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
func addGroup(groups map[string]*group, u *unit, owner string, linked bool) {
	images := slices.Clone(u.images)
	// Of several for one target a driver takes the first: they keep their order.
	slices.SortStableFunc(images, compareTargets)
	images = slices.Compact(images)
	known := owner == facts.OwnerNVIDIA && len(u.digests) > 0
	if !u.defines && !known {
		owner = ""
	}
	pruned := known && u.pruned
	key := groupKey(owner, linked, u.defines, pruned, images)
	g := groups[key]
	if g == nil {
		g = &group{Group: facts.Group{Owner: owner, Empty: !u.defines, Linked: linked, Pruned: pruned, Images: images}}
		if known {
			g.sums = make([]digest, len(images))
		}
		groups[key] = g
	}
	g.add(u)
}

// groupKey is different for each set of images and each kind of unit.
func groupKey(owner string, linked, defines, pruned bool, images []facts.Image) string {
	b := make([]byte, 0, 256)
	b = append(b, owner...)
	for _, is := range []bool{linked, defines, pruned} {
		b = strconv.AppendBool(append(b, ' '), is)
	}
	for _, i := range images {
		for _, s := range []string{i.Kind, i.SM, i.ISA, i.ISAHeader, i.Compression, i.Holds} {
			b = append(append(b, ' '), s...)
		}
		b = strconv.AppendBool(append(b, ' '), i.Unpadded)
		b = append(b, ',')
	}
	return string(b)
}

// facts sums up.
func (d *device) facts(e *facts.ELF) *facts.Device {
	if !d.found() {
		return nil
	}
	groups, inputs := sortGroups(d.groups), sortGroups(d.relocatable)
	soname, needed := "", []string(nil)
	if e != nil {
		soname, needed = e.Soname, e.Needed
	}
	vouched := d.vouch(append(slices.Clone(groups), inputs...), soname)
	assign(groups, vouched)
	assign(inputs, vouched)
	slices.SortStableFunc(d.list, func(a, b facts.Unit) int { return cmp.Compare(a.Offset, b.Offset) })
	f := &facts.Device{Units: d.units, List: d.list, SASS: targets(d.sass), PTX: targets(d.ptx), Groups: groups,
		Relocatable: inputs, Cudart: cudart(needed, d.static), NVIDIA: d.nvidia(vouched)}
	if len(f.Relocatable) == 0 {
		f.Relocatable = nil
	}
	f.Toolkit, f.Toolkits = toolkitOf(d.toolkits, d.theirs, d.spare)
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

// toolkitOf is what the first set says that says anything; all lists it where
// that is more than one.
func toolkitOf(sets ...map[string]bool) (one string, all []string) {
	for _, set := range sets {
		if len(set) > 1 {
			return "mixed", slices.SortedFunc(maps.Keys(set), compareVersion)
		}
		for t := range set {
			return t, nil
		}
	}
	return "", nil
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

// sortGroups puts the groups of most units and images first.
func sortGroups(groups map[string]*group) []facts.Group {
	keys := slices.SortedFunc(maps.Keys(groups), func(a, b string) int {
		return cmp.Or(cmp.Compare(groups[b].Units, groups[a].Units), cmp.Compare(len(groups[b].Images), len(groups[a].Images)), -cmp.Compare(a, b))
	})
	list := make([]facts.Group, 0, len(keys))
	for _, k := range keys {
		list = append(list, groups[k].fact())
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
// no proof: see vouch for when it is believed.
func IsNVIDIA(soname string) bool {
	stem, _, ok := strings.Cut(soname, ".so")
	if !ok {
		return false
	}
	return slices.ContainsFunc(redistributable, func(lib string) bool {
		return stem == lib || (lib == "libnpp" || lib == "libcudnn" || lib == "libnvidia-") && strings.HasPrefix(stem, lib)
	})
}

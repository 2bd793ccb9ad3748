package inspect

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/ianlancetaylor/demangle"

	"github.com/waqasm86/llcuda/bundles/facts"
)

const (
	// maxKernels bounds the names that are kept of one file: cuBLASLt has some
	// hundred thousand.
	maxKernels = 1 << 20
	// maxKernelName bounds one; nvcc's longest are some kilobytes.
	maxKernelName = 64 << 10
	// maxTargets is how many targets one file may have: a set of them is a word.
	maxTargets = 64
	// kernelRatio and kernelFloor bound what a file's images may become together:
	// PTX shrinks to a tenth or twentieth.
	kernelRatio = 64
	kernelFloor = 1 << 30
	// maxDemangled, as a power of two, bounds what a name may become.
	maxDemangled = 13
)

// kernelScan gathers the kernels of all units by name. Images are read one at a
// time; what stays in memory is the names.
type kernelScan struct {
	unpacker
	file    region
	targets map[kernelTarget]int
	units   []int
	names   map[string]*kernelRecord
	// left is how many bytes may still be read of images.
	left           int64
	containersLeft allowance
}

// spend takes n bytes from what is left.
func (s *kernelScan) spend(n int64) error {
	if s.left -= n; s.left < 0 {
		return s.file.fail(0, "images that become more than %d times the file", kernelRatio)
	}
	return nil
}

// spending counts what is read of a text.
type spending struct {
	r io.Reader
	s *kernelScan
}

func (r spending) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if over := r.s.spend(int64(n)); over != nil {
		return n, over
	}
	return n, err
}

type kernelTarget struct{ kind, sm string }

func (t kernelTarget) String() string {
	if t.kind == facts.KindPTX {
		return "compute_" + t.sm
	}
	return "sm_" + t.sm
}

// kernelRecord says which targets have a kernel, and which lack it though the
// unit that has it has images for them.
type kernelRecord struct {
	in, lacks uint64
	units     int
}

// kernelFacts lists the kernels of whatever file g is.
func kernelFacts(g region, head []byte) (*facts.Kernels, error) {
	s := &kernelScan{file: g, targets: map[kernelTarget]int{}, names: map[string]*kernelRecord{},
		left: kernelFloor + kernelRatio*g.size, containersLeft: allowance{containers: maxContainers, entries: maxEntries}}
	// A compressed cubin is read from its start for each of its tables.
	s.budget = 4 * s.left
	var err error
	switch {
	case bytes.HasPrefix(head, []byte(archiveMagic)):
		err = eachMember(g, func(m region) error {
			head, err := m.prefix(elfHeaderSize)
			if err != nil || !bytes.HasPrefix(head, elfMagic) {
				return err
			}
			return s.elf(m, head)
		})
	case bytes.HasPrefix(head, elfMagic):
		err = s.elf(g, head)
	case looksLikePTX(head):
		u := unitKernels{names: map[string]uint64{}}
		if err = s.text(&u, g.reader(), ""); err == nil {
			err = s.fold(u)
		}
	default:
		err = s.containers(g, nil)
	}
	if err != nil {
		return nil, err
	}
	return s.facts(), nil
}

// unitKernels are the kernels of one unit, with the set of targets of each.
type unitKernels struct {
	targets uint64
	names   map[string]uint64
}

func (s *kernelScan) elf(g region, head []byte) error {
	if _, ok := readCubinHead(head); ok {
		c, err := openCubin(g)
		if err != nil {
			return err
		}
		sm, err := c.sm()
		if err != nil {
			return err
		}
		u := unitKernels{names: map[string]uint64{}}
		if err := s.symbols(&u, g, sm); err != nil {
			return err
		}
		return s.fold(u)
	}
	o, err := openELF(g)
	if err != nil {
		return err
	}
	// Only what a wrapper points to is a unit.
	pointed := map[uint64]bool{}
	for _, w := range o.named(sectionWrappers) {
		list, err := readWrappers(o, w)
		if err != nil {
			return err
		}
		for _, w := range list {
			if w.known {
				pointed[uint64(o.off)+w.target] = true
			}
		}
	}
	for _, f := range o.named(sectionFatbin) {
		w, err := o.window(f)
		if err != nil {
			return err
		}
		if err := s.containers(w, pointed); err != nil {
			return err
		}
	}
	return nil
}

// containers reads the units of a section; with pointed nil all are units.
func (s *kernelScan) containers(g region, pointed map[uint64]bool) error {
	return eachContainer(g, &s.containersLeft, func(c *container) error {
		if pointed != nil && !pointed[c.off] {
			return nil
		}
		return s.unit(c)
	})
}

func (s *kernelScan) unit(c *container) error {
	u := unitKernels{names: map[string]uint64{}}
	for i := range c.entries {
		e := &c.entries[i]
		switch e.kind {
		case kindELF:
			g := s.whole(e)
			if err := s.spend(g.size); err != nil {
				return err
			}
			if err := s.symbols(&u, g, e.sm); err != nil {
				return err
			}
		case kindPTX:
			r, err := s.open(e)
			if err != nil {
				return err
			}
			if err := s.text(&u, spending{io.LimitReader(r, maxPayload), s}, e.sm); err != nil {
				var format *FormatError
				if !errors.As(err, &format) {
					err = e.damaged(err)
				}
				return err
			}
		}
	}
	return s.fold(u)
}

// target numbers a target.
func (s *kernelScan) target(kind, sm string) (uint64, error) {
	t := kernelTarget{kind, sm}
	i, ok := s.targets[t]
	if !ok {
		if i = len(s.targets); i >= maxTargets {
			return 0, s.file.fail(0, "images for more than %d targets", maxTargets)
		}
		s.targets[t] = i
		s.units = append(s.units, 0)
	}
	return 1 << i, nil
}

// symbols adds the kernels of a cubin.
func (s *kernelScan) symbols(u *unitKernels, g region, sm string) error {
	bit, err := s.target(facts.KindSASS, sm)
	if err != nil {
		return err
	}
	u.targets |= bit
	c, err := openCubin(g)
	if err != nil {
		return err
	}
	var names []byte
	var of *section
	var bad error
	err = c.kernels(func(off uint32, strings *section) bool {
		if of != strings {
			of = strings
			if names, bad = c.table(strings, "a cubin's strings"); bad != nil {
				return false
			}
		}
		if uint64(off) < uint64(len(names)) {
			if n := bytes.IndexByte(names[off:min(len(names), int(off)+maxKernelName)], 0); n > 0 {
				u.names[string(names[off:int(off)+n])] |= bit
			}
		}
		return true
	})
	return cmp.Or(bad, err)
}

// text adds the entries of a PTX text; sm "" takes the text's own target.
func (s *kernelScan) text(u *unitKernels, r io.Reader, sm string) error {
	var names []string
	target, err := eachEntry(r, func(name string) { names = append(names, name) })
	if err != nil {
		return err
	}
	if sm == "" {
		sm = target
	}
	bit, err := s.target(facts.KindPTX, sm)
	if err != nil {
		return err
	}
	u.targets |= bit
	for _, n := range names {
		u.names[n] |= bit
	}
	return nil
}

// entryWord starts a kernel in PTX, targetWord the text's target.
var entryWord, targetWord = []byte(".entry"), []byte(".target")

// textWindow is how much of a PTX text is in memory at a time, beside a line.
const textWindow = 64 << 10

// eachEntry calls visit with the name of every kernel that a PTX text defines,
// and returns its first target. It looks for words, not through the grammar, as a
// file may hold gigabytes of text: a kernel stands on a line of its own, perhaps
// behind .visible or .weak, and its name on the same line.
func eachEntry(r io.Reader, visit func(name string)) (target string, err error) {
	buf := make([]byte, 0, textWindow)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		end := len(buf)
		if err == nil {
			// What follows the last end of line waits for its rest.
			if end = bytes.LastIndexByte(buf, '\n') + 1; end == 0 && len(buf) == cap(buf) {
				end = len(buf)
			}
		}
		entries(buf[:end], visit)
		if target == "" {
			target = wordAfter(buf[:end], targetWord)
		}
		if errors.Is(err, io.EOF) {
			return clean(strings.TrimPrefix(target, "sm_")), nil
		}
		if err != nil {
			return "", err
		}
		buf = buf[:copy(buf, buf[end:])]
	}
}

// entries visits the kernels in whole lines.
func entries(b []byte, visit func(string)) {
	for {
		i := bytes.Index(b, entryWord)
		if i < 0 {
			return
		}
		before := b[bytes.LastIndexByte(b[:i], '\n')+1 : i]
		name := wordAfter(b[i:], entryWord)
		b = b[i+len(entryWord):]
		if name != "" && !bytes.Contains(before, []byte("//")) && !bytes.Contains(before, []byte(".extern")) {
			visit(name)
		}
	}
}

// wordAfter is the name behind the first word, "" where white space does not
// come between.
func wordAfter(b, word []byte) string {
	i := bytes.Index(b, word)
	if i < 0 {
		return ""
	}
	rest := b[i+len(word):]
	text := bytes.TrimLeft(rest, " \t\r\n")
	if len(text) == len(rest) {
		return ""
	}
	end := bytes.IndexFunc(text[:min(len(text), maxKernelName)], func(c rune) bool { return c <= ' ' || c == '(' || c == ',' || c == ';' || c == '{' })
	if end < 0 {
		end = min(len(text), maxKernelName)
	}
	return string(text[:end])
}

// fold adds a unit to the file's names. One without kernels lacks none.
func (s *kernelScan) fold(u unitKernels) error {
	if len(u.names) == 0 {
		return nil
	}
	for rest := u.targets; rest != 0; rest &= rest - 1 {
		s.units[bits.TrailingZeros64(rest)]++
	}
	for name, in := range u.names {
		r := s.names[name]
		if r == nil {
			if len(s.names) >= maxKernels {
				return s.file.fail(0, "more than %d kernels", maxKernels)
			}
			r = &kernelRecord{}
			s.names[name] = r
		}
		r.in |= in
		r.lacks |= u.targets &^ in
		r.units++
	}
	return nil
}

// facts sorts the names into sets.
func (s *kernelScan) facts() *facts.Kernels {
	k := &facts.Kernels{Targets: []facts.KernelTarget{}, Sets: []facts.KernelSet{}}
	order := slices.SortedFunc(maps.Keys(s.targets), func(a, b kernelTarget) int {
		return cmp.Or(cmp.Compare(kindRank(a.kind), kindRank(b.kind)), compareSM(a.sm, b.sm))
	})
	counts := make([]int, len(order))
	sets := map[[2]uint64]*facts.KernelSet{}
	for _, name := range slices.Sorted(maps.Keys(s.names)) {
		r := s.names[name]
		key := [2]uint64{r.in, r.lacks}
		set := sets[key]
		if set == nil {
			set = &facts.KernelSet{}
			for _, t := range order {
				if r.in>>s.targets[t]&1 == 1 {
					set.In = append(set.In, t.String())
				}
				if r.lacks>>s.targets[t]&1 == 1 {
					set.Lacks = append(set.Lacks, t.String())
				}
			}
			sets[key] = set
		}
		set.Count++
		set.Kernels = append(set.Kernels, facts.Kernel{Name: strings.ToValidUTF8(name, "?"), Demangled: demangled(name), Units: r.units})
		if r.lacks != 0 {
			k.Differ++
		}
		for i, t := range order {
			counts[i] += int(r.in >> s.targets[t] & 1)
		}
	}
	for i, t := range order {
		k.Targets = append(k.Targets, facts.KernelTarget{Name: t.String(), Units: s.units[s.targets[t]], Kernels: counts[i]})
	}
	for _, set := range sets {
		k.Sets = append(k.Sets, *set)
	}
	slices.SortFunc(k.Sets, func(a, b facts.KernelSet) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), slices.Compare(a.In, b.In), slices.Compare(a.Lacks, b.Lacks))
	})
	return k
}

// demangled is a C++ name as it was written, "" for one that is none.
func demangled(name string) string {
	text, err := demangle.ToString(name, demangle.MaxLength(maxDemangled))
	if err != nil || text == name {
		return ""
	}
	return text
}

package inspect

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/waqasm86/llcuda/bundles/facts"
)

const (
	relocIRelative = 37
	// codeWindow is how much code is in memory at a time.
	codeWindow = 1 << 20
	// smallGap is more than any padding between functions.
	smallGap = 64
	// alignment is where assemblers' functions start.
	alignment = 16
)

// cpuSymbols are names that a file only has if it asks which processor it runs
// on: GCC's and Clang's __builtin_cpu_supports, glibc's <sys/platform/x86.h>.
var cpuSymbols = []string{"__cpu_model", "__cpu_indicator_init", "__cpu_features2", "__x86_get_cpuid_feature_leaf", "__x86_get_cpu_features", "_dl_x86_get_cpu_features"}

// cpuScan counts the instructions of a file by extension.
type cpuScan struct {
	o            *object
	instructions int64
	uses         [isaCount]struct {
		instructions int64
		functions    int
		first        uint64
	}
	baseline, beyond, undecoded int
	window                      []byte
	windowFrom                  uint64
	// left is how much code may still come: segments can show the same bytes
	// of a file again and again.
	left int64
}

// cpuFacts decodes the code of a file. nil for another processor's, and for
// files that nothing is executed of as they are.
func cpuFacts(o *object) (*facts.CPU, error) {
	if o.machine != machineX86 || o.kind != typeExecutable && o.kind != typeShared {
		return nil, nil
	}
	if len(o.segments) > maxSegments {
		return nil, o.fail(0, "%d segments are more than any real file has", len(o.segments))
	}
	list, err := functions(o)
	if err != nil {
		return nil, err
	}
	c := &facts.CPU{Functions: len(list)}
	s := &cpuScan{o: o, left: o.size}
	for _, f := range list {
		if err := s.function(f, false); err != nil {
			return nil, err
		}
	}
	for _, f := range o.gaps(list) {
		if f.size >= smallGap {
			c.Uncovered += int64(f.size)
		}
		if err := s.function(f, true); err != nil {
			return nil, err
		}
	}
	s.sum(c)
	return c, s.dispatch(c)
}

// codeSections are the sections with code as pieces of it.
func (o *object) codeSections() []function {
	var list []function
	for i := range o.sections {
		if s := &o.sections[i]; s.kind == shtProgbits && s.flags&shfExec != 0 && s.size > 0 && o.executable(s.addr, s.size) {
			list = append(list, function{s.addr, s.size})
		}
	}
	return apart(list)
}

// gaps are the stretches of code that lie in no function: padding, most of them.
func (o *object) gaps(list []function) []function {
	var gaps []function
	for _, s := range o.codeSections() {
		at := s.addr
		i, ok := slices.BinarySearchFunc(list, s.addr, func(f function, a uint64) int { return cmp.Compare(f.addr, a) })
		if !ok && i > 0 {
			at = max(at, list[i-1].end())
		}
		for ; i < len(list) && list[i].addr < s.end(); i++ {
			if list[i].addr > at {
				gaps = append(gaps, function{at, list[i].addr - at})
			}
			at = max(at, list[i].end())
		}
		if at < s.end() {
			gaps = append(gaps, function{at, s.end() - at})
		}
	}
	return gaps
}

// function counts what one function holds. It ends where something is no
// instruction: data among code, or an extension younger than this table. In a
// gap it goes on at the next place where a function may start.
func (s *cpuScan) function(f function, gap bool) error {
	if s.left -= int64(min(f.size, uint64(s.o.size)+1)); s.left < 0 {
		return s.o.fail(0, "more code than the file is long")
	}
	var seen uint64
	var i instruction
	for at := f.addr; at < f.end(); {
		b, err := s.code(at, f.end())
		if err != nil {
			return err
		}
		whole := at+uint64(len(b)) == f.end()
		from := at
		for len(b) >= maxInstruction || whole && len(b) > 0 {
			if !i.decode(b) {
				if next := alignment - at%alignment; gap && next < uint64(len(b)) {
					b = b[next:]
					at += next
					continue
				}
				if !gap {
					s.undecoded++
				}
				s.seen(f, seen)
				return nil
			}
			kind := i.isa()
			s.uses[kind].instructions++
			s.instructions++
			seen |= 1 << kind
			b = b[i.n:]
			at += uint64(i.n)
		}
		if at == from {
			// What is left of its segment is less than any instruction may take: the
			// function goes on in another one, or nowhere.
			if !gap {
				s.undecoded++
			}
			break
		}
	}
	s.seen(f, seen)
	return nil
}

// code is the file's bytes from an address on: those of the whole function where
// they fit the window.
func (s *cpuScan) code(addr, end uint64) ([]byte, error) {
	if addr >= s.windowFrom && addr-s.windowFrom < uint64(len(s.window)) {
		if b := s.window[addr-s.windowFrom:]; uint64(len(b)) >= end-addr {
			return b[:end-addr], nil
		}
	}
	off, ok := s.o.fileOffset(addr)
	if !ok {
		return nil, s.o.fail(0, "code at address %#x, outside the file", addr)
	}
	n := min(uint64(codeWindow), s.o.loadedFrom(addr))
	b, err := s.o.bytes(off, min(n, uint64(s.o.size)-min(off, uint64(s.o.size))), "code")
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return nil, s.o.fail(int64(off), "the file ends inside its code")
	}
	s.window, s.windowFrom = b, addr
	return b[:min(uint64(len(b)), end-addr)], nil
}

// loadedFrom is how many bytes a segment holds from an address on.
func (o *object) loadedFrom(addr uint64) uint64 {
	for _, s := range o.segments {
		if s.kind == ptLoad && addr >= s.addr && addr-s.addr < s.filesz {
			return s.filesz - (addr - s.addr)
		}
	}
	return 0
}

// seen notes which extensions a function has.
func (s *cpuScan) seen(f function, set uint64) {
	beyond := false
	for rest := set; rest != 0; rest &= rest - 1 {
		k := isa(bits.TrailingZeros64(rest))
		u := &s.uses[k]
		if u.functions++; u.functions == 1 {
			u.first = f.addr
		}
		beyond = beyond || k > isaCPUID
	}
	switch {
	case beyond:
		s.beyond++
	case set&(1<<isaSSE) != 0:
		s.baseline++
	}
}

// sum turns the counts into facts.
func (s *cpuScan) sum(c *facts.CPU) {
	c.Instructions, c.Baseline, c.Beyond, c.Undecoded = s.instructions, s.baseline, s.beyond, s.undecoded
	level := 1
	c.Uses = []facts.CPUUse{}
	for k := isaSSE3; k < isaCount; k++ {
		u := s.uses[k]
		if u.instructions == 0 {
			continue
		}
		level = max(level, isaLevels[k])
		c.Uses = append(c.Uses, facts.CPUUse{ISA: isaNames[k], Instructions: u.instructions, Functions: u.functions, First: fmt.Sprintf("%#x", u.first)})
	}
	if c.Level = "x86-64"; level > 1 {
		c.Level = fmt.Sprintf("x86-64-v%d", level)
	}
	if s.uses[isaCPUID].instructions > 0 {
		c.Dispatch = append(c.Dispatch, "cpuid")
	}
}

// dispatch looks for signs that the file asks which processor it runs on, and
// names the functions that are examples.
func (s *cpuScan) dispatch(c *facts.CPU) error {
	ifunc := false
	err := eachSymbol(s.o, func(name []byte, b []byte) {
		kind := b[4] & 15
		ifunc = ifunc || kind == symbolIFunc && le.Uint16(b[6:]) != 0
		if slices.Contains(cpuSymbols, string(name)) && !slices.Contains(c.Dispatch, string(name)) {
			c.Dispatch = append(c.Dispatch, string(name))
		}
		if kind != symbolFunc || len(name) == 0 {
			return
		}
		addr := le.Uint64(b[8:])
		i := 0
		for k := isaSSE3; k < isaCount; k++ {
			if u := s.uses[k]; u.instructions > 0 {
				if u.first == addr {
					c.Uses[i].First = cString(append(slices.Clone(name), 0), 0)
				}
				i++
			}
		}
	})
	if err != nil {
		return err
	}
	left := uint64(s.o.size)
	for i := range s.o.sections {
		r := &s.o.sections[i]
		if ifunc || r.kind != shtRela || r.flags&shfAlloc == 0 {
			continue
		}
		if r.size > left {
			return s.o.fail(int64(r.off), "more relocations than the file is long")
		}
		left -= r.size
		g, err := s.o.sub(r.off, r.size/relaSize*relaSize, "the relocations")
		if err != nil {
			return err
		}
		err = g.chunks(relaSize<<12, "the relocations", func(_ int64, b []byte) bool {
			for ; len(b) >= relaSize && !ifunc; b = b[relaSize:] {
				ifunc = le.Uint32(b[8:]) == relocIRelative
			}
			return !ifunc
		})
		if err != nil {
			return err
		}
	}
	if ifunc {
		c.Dispatch = append(c.Dispatch, "ifunc")
	}
	slices.Sort(c.Dispatch)
	return nil
}

package compat

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

// Selected is what a driver would choose on a compute capability among NVIDIA's
// units of some files: how many units have an image for it, and a digest over
// these images. Two libraries with the same one run the same of NVIDIA's code
// there, whatever else was pruned from one of them, and in whatever order their
// units lie. Units that define nothing count, as nvprune treats them alike.
//
// ok is false where the facts do not tell: units that are NVIDIA's by name only,
// or files whose groups were left out.
func Selected(files []facts.File, cc CC) (s bundles.Selected, ok bool) {
	return table().selected(files, cc)
}

func (t *Table) selected(files []facts.File, cc CC) (s bundles.Selected, ok bool) {
	var hi, lo uint64
	seen := false
	for _, f := range files {
		d := f.Device
		switch {
		case d == nil:
			continue
		case len(d.Groups) == 0 && d.Units > 0:
			return bundles.Selected{}, false
		}
		for _, g := range d.Groups {
			if g.Owner == facts.OwnerUnknown {
				return bundles.Selected{}, false
			}
			if g.Owner != facts.OwnerNVIDIA {
				continue
			}
			seen = true
			p := t.pick(g.Images, cc)
			if p.via == facts.ViaNone {
				continue
			}
			b, err := hex.DecodeString(p.image.Digest)
			if err != nil || len(b) != 16 {
				return bundles.Selected{}, false
			}
			s.Units += g.Units
			var carry uint64
			lo, carry = bits.Add64(lo, binary.BigEndian.Uint64(b[8:]), 0)
			hi, _ = bits.Add64(hi, binary.BigEndian.Uint64(b), carry)
		}
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, hi), lo))
	s.Digest = "sha256:" + hex.EncodeToString(sum[:])
	return s, seen
}

// LeanOf is the record of what must be left of NVIDIA's units on the given
// compute capabilities, made of the files as they were before anything was
// pruned. of names what they are, "cublas-12.4.5.8".
func LeanOf(of string, files []facts.File, ccs []CC) (*bundles.Lean, error) {
	l := &bundles.Lean{Of: of, Selected: map[string]bundles.Selected{}}
	for _, cc := range ccs {
		s, ok := Selected(files, cc)
		switch {
		case !ok:
			return nil, fmt.Errorf("recording NVIDIA's units of %s: the files hold none that are known by digest", of)
		case s.Units == 0:
			return nil, fmt.Errorf("recording NVIDIA's units of %s: none of them runs on compute capability %s", of, cc)
		}
		l.Selected[cc.String()] = s
	}
	return l, nil
}

// record is what a part says of pruning, beside what its files say themselves.
type record struct {
	lean  *bundles.Lean
	files []facts.File
}

// keeps says whether the record promises a compute capability and, where the
// facts tell, whether the files still hold all that it promises.
func (r *record) keeps(t *Table, cc CC) bool {
	promised, ok := r.lean.Selected[cc.String()]
	if !ok || promised.Units == 0 {
		return false
	}
	found, known := t.selected(r.files, cc)
	return !known || found == promised
}

// ServedBy are the compute capabilities, of those that there are, on which machine
// code for one of the SMs runs. Tegra chips, which share no code with others, are
// left out: no bundle serves them.
func ServedBy(sms []string) []CC {
	t := table()
	var ccs []CC
	for _, c := range t.ccs {
		if t.isTegra(c) {
			continue
		}
		for _, name := range sms {
			if sm, err := ParseSM(name); err == nil && t.sassFits(sm, c) {
				ccs = append(ccs, c)
				break
			}
		}
	}
	return ccs
}

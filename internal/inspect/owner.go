package inspect

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// digest is the first 16 bytes of the SHA-256 of a payload, as a number that can
// be added: so the digest of many images does not depend on their order, nor on
// how units are grouped.
type digest struct{ hi, lo uint64 }

// prefix is what stands in the table: the digest's first 8 bytes.
func (d digest) prefix() uint64 { return d.hi }

func (d digest) plus(e digest) digest {
	lo, carry := bits.Add64(d.lo, e.lo, 0)
	hi, _ := bits.Add64(d.hi, e.hi, carry)
	return digest{hi, lo}
}

func (d digest) String() string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, d.hi), d.lo))
}

// hashBytes is how much of a payload is read at once to hash it.
const hashBytes = 128 << 10

// digest hashes a payload as it is stored.
func (x *examiner) digest(e *entry) (digest, error) {
	if x.hash == nil {
		x.hash, x.hashed = sha256.New(), make([]byte, hashBytes)
	}
	x.hash.Reset()
	for off := int64(0); off < e.payload.size; {
		n := min(hashBytes, e.payload.size-off)
		got, err := e.payload.r.ReadAt(x.hashed[:n], e.payload.off+off)
		if int64(got) < n {
			if err == nil || errors.Is(err, io.EOF) {
				return digest{}, e.payload.fail(off+int64(got), "the file ends inside a payload")
			}
			return digest{}, fmt.Errorf("reading a payload of %s at offset %#x: %w", e.payload.file, e.payload.shown+off, err)
		}
		x.hash.Write(x.hashed[:n])
		off += n
	}
	x.sum = x.hash.Sum(x.sum[:0])
	return digest{binary.BigEndian.Uint64(x.sum), binary.BigEndian.Uint64(x.sum[8:])}, nil
}

// identify looks an entry up in the table of NVIDIA's images, and hashes it only
// if one there has its kind, SM and size.
func (x *examiner) identify(e *entry) (d digest, flags byte, known bool, err error) {
	key, ok := e.key()
	if !ok {
		return d, 0, false, nil
	}
	from, to := x.table.candidates(key)
	if from == to {
		return d, 0, false, nil
	}
	if d, err = x.digest(e); err != nil {
		return d, 0, false, err
	}
	flags, known = x.table.image(from, to, d.prefix())
	return d, flags, known, nil
}

// settle says whose a unit is, once all its images were looked up.
func (u *unit) settle(t *nvtable) {
	switch {
	case u.known == 0:
		u.owner, u.digests = facts.OwnerOwn, nil
	case u.known < len(u.images):
		u.owner, u.digests = facts.OwnerMixed, nil
	default:
		u.owner = facts.OwnerNVIDIA
		var sum uint64
		for _, d := range u.digests {
			sum += d.prefix()
		}
		u.pruned = !t.whole(sum)
	}
}

// group is facts.Group in the making.
type group struct {
	facts.Group
	sums []digest
}

// add counts a unit, and adds the digests of its images to those of the group.
func (g *group) add(u *unit) {
	g.Units++
	for i, d := range u.digests {
		if n := slices.Index(g.Images, u.images[i]); n >= 0 {
			g.sums[n] = g.sums[n].plus(d)
		}
	}
}

// fact is the group as it is reported.
func (g *group) fact() facts.Group {
	f := g.Group
	if len(g.sums) > 0 {
		f.Images = slices.Clone(f.Images)
		for i, d := range g.sums {
			f.Images[i].Digest = d.String()
		}
	}
	return f
}

// vouch decides whose the units are that the table does not know, in a file
// whose SONAME is one of NVIDIA's. Where the library defines the version node
// of its SONAME, as NVIDIA's do, and nothing was pruned to nothing, the name is
// believed; otherwise it is unknown.
func (d *device) vouch(groups []facts.Group, soname string) string {
	foreign := func(g facts.Group) bool {
		return !g.Empty && (g.Owner == facts.OwnerOwn || g.Owner == facts.OwnerMixed)
	}
	if !slices.ContainsFunc(groups, foreign) || !IsNVIDIA(soname) {
		return ""
	}
	if d.node && !slices.ContainsFunc(groups, func(g facts.Group) bool { return g.Empty && len(g.Images) == 0 }) {
		return facts.OwnerNVIDIA
	}
	return facts.OwnerUnknown
}

// assign gives the units that the table does not know to an owner.
func assign(groups []facts.Group, owner string) {
	for i := range groups {
		g := &groups[i]
		if owner != "" && !g.Empty && (g.Owner == facts.OwnerOwn || g.Owner == facts.OwnerMixed) {
			g.Owner = owner
		}
	}
}

// nvidia says how NVIDIA's units were told; nil where there are none.
func (d *device) nvidia(vouched string) *facts.NVIDIA {
	switch {
	case vouched != "":
		return &facts.NVIDIA{By: facts.BySoname}
	case d.someOf == 0:
		return nil
	}
	n := &facts.NVIDIA{By: facts.ByDigest}
	if n.Of = d.look.table.of(d.allOf); n.Of == nil {
		n.Of = d.look.table.of(d.someOf)
	}
	return n
}

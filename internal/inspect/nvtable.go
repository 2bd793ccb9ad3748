package inspect

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

//go:generate gen/make.sh

// nvidiaData is the table of the images of NVIDIA's cuBLAS, made by gen/make.sh
// out of the static libraries that its first lines name.
//
//go:embed nvidia.tab
var nvidiaData string

// Layout of the table: text lines to an empty one, then in big endian the
// number of images, the images in rising order, the number of units, the units
// in rising order. An image is the eight bytes of imageKey and the first eight
// of its digest; a unit is the sum of those of all its images.
const (
	nvtableMagic = "nvidia-images 1"
	imageRecord  = 16
	unitRecord   = 8
)

// nvtable is the table of NVIDIA's images: which stored payloads are those of
// cuBLAS, and which sets of them make up one whole unit.
//
// A digest is the SHA-256 of a payload as it is stored in the fat binary, that
// is compressed where it is, without padding and without the entry's header. So
// it survives linking into another library and nvprune, which copy payloads or
// leave them out. The table holds its first 8 bytes and, beside it, kind, SM
// and size. Whatever has none of the table's 4,900 combinations of these is not
// hashed at all: that is nearly everything in libraries that are not NVIDIA's.
// By chance an image of ours would have to agree in size and in 64 bits of
// SHA-256. Made on purpose, such an agreement (2^64 hashes) would only have its
// maker's own units judged as generously as cuBLAS's are; nobody's trust rests
// on the table.
type nvtable struct {
	sources []nvsource
	images  string
	units   string
}

// nvsource is one static library that the table was made from.
type nvsource struct {
	// of names the library and its version, "cublas-11.11.3.6": the same for
	// the libraries that go together.
	of string
	// bit marks images of the libraries called of.
	bit byte
}

// The bits of an image's record below its key.
const (
	// nvDefines marks an image that defines a kernel or a variable.
	nvDefines = 1
	// nvSources is the first of the bits that say in which library it is.
	nvSources    = 2
	maxNVSources = 7
)

// imageKey is what must agree before a payload is hashed: size, kind, SM and
// suffix, in the upper 56 bits. ok is false for what no record could hold.
func imageKey(kind uint16, target uint32, suffix string, size int64) (key uint64, ok bool) {
	s := strings.Index("af", suffix) + 1 // 1 where there is none
	if suffix != "" {
		s++
	}
	if kind > 3 || target >= 1<<12 || size <= 0 || size >= 1<<40 {
		return 0, false
	}
	return (uint64(size)<<16 | uint64(target)<<4 | uint64(kind)<<2 | uint64(s)) << 8, true
}

// openTable reads a table's frame.
func openTable(data string) (*nvtable, error) {
	text, rest, ok := strings.Cut(data, "\n\n")
	magic, text, _ := strings.Cut(text, "\n")
	if !ok || magic != nvtableMagic {
		return nil, fmt.Errorf("opening the table of NVIDIA's images: it does not begin with %q", nvtableMagic)
	}
	t := &nvtable{}
	for line := range strings.Lines(text) {
		of, _, _ := strings.Cut(line, " ")
		if n := len(t.sources); n == 0 || t.sources[n-1].of != of {
			t.sources = append(t.sources, nvsource{of: of, bit: nvSources << n})
		}
	}
	if len(t.sources) > maxNVSources {
		return nil, fmt.Errorf("opening the table of NVIDIA's images: %d sources", len(t.sources))
	}
	for _, part := range []struct {
		into   *string
		record int
	}{{&t.images, imageRecord}, {&t.units, unitRecord}} {
		if len(rest) < 4 {
			return nil, fmt.Errorf("opening the table of NVIDIA's images: cut short")
		}
		n := int(binary.BigEndian.Uint32([]byte(rest[:4]))) * part.record
		if rest = rest[4:]; n > len(rest) {
			return nil, fmt.Errorf("opening the table of NVIDIA's images: cut short")
		}
		*part.into, rest = rest[:n], rest[n:]
	}
	return t, nil
}

func (t *nvtable) word(s string, at int) uint64 {
	b := s[at : at+8]
	return uint64(b[0])<<56 | uint64(b[1])<<48 | uint64(b[2])<<40 | uint64(b[3])<<32 | uint64(b[4])<<24 | uint64(b[5])<<16 | uint64(b[6])<<8 | uint64(b[7])
}

// candidates are the places of the images that have a key.
func (t *nvtable) candidates(key uint64) (from, to int) {
	n := len(t.images) / imageRecord
	from = sort.Search(n, func(i int) bool { return t.word(t.images, i*imageRecord) >= key })
	for to = from; to < n && t.word(t.images, to*imageRecord)>>8 == key>>8; to++ {
	}
	return from, to
}

// image looks a digest up among candidates. flags are the record's.
func (t *nvtable) image(from, to int, prefix uint64) (flags byte, ok bool) {
	for i := from; i < to; i++ {
		if t.word(t.images, i*imageRecord+8) == prefix {
			return t.images[i*imageRecord+7], true
		}
	}
	return 0, false
}

// whole says whether the images of a unit, whose prefixes add up to sum, are all
// that NVIDIA's library has in it.
func (t *nvtable) whole(sum uint64) bool {
	n := len(t.units) / unitRecord
	i := sort.Search(n, func(i int) bool { return t.word(t.units, i*unitRecord) >= sum })
	return i < n && t.word(t.units, i*unitRecord) == sum
}

// of names the libraries that hold images with these flags.
func (t *nvtable) of(flags byte) []string {
	var names []string
	for _, s := range t.sources {
		if flags&s.bit != 0 {
			names = append(names, s.of)
		}
	}
	return names
}

// suffix is that of an entry's SM.
func (e *entry) suffix() string {
	return strings.TrimPrefix(e.sm, strconv.FormatUint(uint64(e.target), 10))
}

// entryKey is the imageKey of an entry.
func (e *entry) key() (uint64, bool) {
	if name := kindName(e.kind); name != facts.KindSASS && name != facts.KindPTX {
		return 0, false
	}
	return imageKey(e.kind, e.target, e.suffix(), e.payload.size)
}

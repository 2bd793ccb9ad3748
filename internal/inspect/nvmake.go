package inspect

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// TableSource is a static library of NVIDIA's to make the table of.
type TableSource struct {
	// Of names the library and its version, "cublas-12.4.5.8".
	Of string
	// Origin says where it is from: package, version and the file's SHA-256.
	Origin string
	// Path is the file.
	Path string
}

// MakeTable writes the table of NVIDIA's images out of their libraries; those of
// one name must stand together.
func MakeTable(w io.Writer, sources []TableSource) error {
	head := nvtableMagic + "\n"
	images, units := map[[2]uint64]byte{}, map[uint64]bool{}
	names := 0
	for i, s := range sources {
		if i == 0 || sources[i-1].Of != s.Of {
			names++
		}
		if names > maxNVSources {
			return fmt.Errorf("making the table of NVIDIA's images: more than %d libraries", maxNVSources)
		}
		n, err := s.add(images, units, nvSources<<(names-1))
		if err != nil {
			return fmt.Errorf("making the table of NVIDIA's images: %w", err)
		}
		head += fmt.Sprintf("%s %s %d units %d stored %d images\n", s.Of, s.Origin, n.units, n.stored, n.images)
	}
	var b bytes.Buffer
	b.WriteString(head + "\n")
	list := make([][2]uint64, 0, len(images))
	for k, flags := range images {
		list = append(list, [2]uint64{k[0] | uint64(flags), k[1]})
	}
	slices.SortFunc(list, func(a, b [2]uint64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	put := func(v any) { _ = binary.Write(&b, binary.BigEndian, v) } // a buffer takes all
	put(uint32(len(list)))
	put(list)
	sums := make([]uint64, 0, len(units))
	for sum := range units {
		sums = append(sums, sum)
	}
	slices.Sort(sums)
	put(uint32(len(sums)))
	put(sums)
	_, err := w.Write(b.Bytes())
	return err
}

// tally is what one library brought.
type tally struct{ units, stored, images int }

// add collects the images of one library, each once, and its units.
func (s TableSource) add(images map[[2]uint64]byte, units map[uint64]bool, bit byte) (tally, error) {
	var n tally
	f, err := os.Open(s.Path)
	if err != nil {
		return n, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return n, err
	}
	seen := map[[2]uint64]bool{}
	d := newDevice(&nvtable{}, info.Size())
	d.visit = func(c *container) error {
		n.units++
		var sum uint64
		for i := range c.entries {
			e := &c.entries[i]
			key, ok := e.key()
			if !ok {
				return e.payload.fail(0, "an image of kind %s for sm_%s, which the table cannot hold", kindName(e.kind), e.sm)
			}
			digest, err := d.look.digest(e)
			if err != nil {
				return err
			}
			sum += digest.prefix()
			u, err := d.look.examine(&container{entries: []entry{*e}})
			if err != nil {
				return err
			}
			flags := bit
			if u.defines {
				flags |= nvDefines
			}
			n.stored++
			k := [2]uint64{key, digest.prefix()}
			if !seen[k] {
				seen[k] = true
				n.images++
			}
			images[k] |= flags
		}
		units[sum] = true
		return nil
	}
	if strings.HasSuffix(s.Path, ".a") {
		return n, d.archive(region{r: f, file: s.Path, size: info.Size()})
	}
	return n, fmt.Errorf("%s is no static library", s.Path)
}

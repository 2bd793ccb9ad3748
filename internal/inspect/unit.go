package inspect

import (
	"bytes"
	"cmp"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

const (
	// headBytes is how much of a cubin is looked at for its header and note.
	headBytes = 4 << 10
	// textBytes is how much of a PTX text, and cubinBytes how much of a
	// compressed cubin, is looked at for a definition before the whole of it is.
	textBytes  = 64 << 10
	cubinBytes = 256 << 10
	// lineBytes is where .version, .target and .address_size stand in what
	// fatbinary stores: it leaves out the comments before.
	lineBytes = 384
)

// unit is what one container was found to hold.
type unit struct {
	// off and size are its container's in the file.
	off, size int64
	// images as they are stored; the same may come more than once.
	images   []facts.Image
	defines  bool
	toolkits []string
	unknown  []string
	// owner is whose the unit is by its images. known counts those in the table
	// of NVIDIA's; all of them and some of them are of these libraries there.
	owner         string
	known         int
	allOf, someOf byte
	// digests stand beside images where all are NVIDIA's.
	digests []digest
	// pruned marks a unit of NVIDIA's that lacks images.
	pruned bool
}

// examiner looks into containers, one after the other.
type examiner struct {
	unpacker
	table *nvtable
	bytes bytes.Reader
	hash  hash.Hash
	// hashed and sum are buffers of digest.
	hashed, sum []byte
	// told holds the SMs whose cubins already named their toolkit.
	told map[string]bool
}

// examine reads the heads of all images of a container and, as far as needed to
// tell whether anything is defined, more of some of them.
func (x *examiner) examine(c *container) (*unit, error) {
	u := &unit{off: int64(c.off), size: c.g.size, allOf: 0xff, images: make([]facts.Image, 0, len(c.entries))}
	for i := range c.entries {
		e := &c.entries[i]
		d, flags, known, err := x.identify(e)
		if err != nil {
			return nil, err
		}
		if known {
			u.known++
			u.digests = append(u.digests, d)
			u.allOf, u.someOf = u.allOf&flags, u.someOf|flags
			u.defines = u.defines || flags&nvDefines != 0
		}
		u.unknown = append(u.unknown, e.unknown...)
		image := facts.Image{Kind: kindName(e.kind), SM: e.sm, Compression: e.compression}
		switch e.kind {
		case kindELF:
			err = x.cubin(u, e, &image, known)
		case kindPTX:
			image.ISAHeader = e.isa
			err = x.text(u, e, &image)
		default:
			// What cannot be read is not called empty.
			u.defines = true
		}
		if err == nil && e.compression == compressZlib {
			image.Unpadded, err = x.unpadded(e)
		}
		if err != nil {
			return nil, err
		}
		u.images = append(u.images, image)
	}
	u.settle(x.table)
	if u.owner == facts.OwnerNVIDIA {
		return u, nil // the table says what they define
	}
	return u, x.search(u, c)
}

// cubin reads a cubin's head. What is known of NVIDIA's is not looked for.
func (x *examiner) cubin(u *unit, e *entry, image *facts.Image, known bool) error {
	n := int64(headBytes)
	if e.compression != compressNone && (u.defines || known) && x.told[e.sm] {
		n = elfHeaderSize // nothing more is asked
	}
	b, err := x.head(e, n)
	if err != nil {
		return err
	}
	head, ok := readCubinHead(b)
	if !ok {
		return e.payload.fail(0, "an entry marked as machine code for sm_%s holds no cubin", e.sm)
	}
	if uint32(head.sm) != e.target {
		image.Holds = strconv.Itoa(head.sm)
		u.unknown = append(u.unknown, fmt.Sprintf("cubin of sm_%d in an entry marked sm_%s", head.sm, e.sm))
	}
	u.defines = u.defines || !known && namesKernel(b)
	toolkit := cmp.Or(head.toolkit, findCUInfo(b))
	if e.compression == compressNone && !u.defines && !known || toolkit == "" && (e.compression == compressNone || !x.told[e.sm]) {
		c, err := openCubin(x.whole(e))
		if err != nil {
			return err
		}
		if !u.defines && !known {
			if u.defines, err = c.defines(); err != nil {
				return err
			}
		}
		if toolkit == "" {
			if toolkit, err = c.toolkit(); err != nil {
				return err
			}
		}
	}
	if toolkit != "" {
		x.told[e.sm] = true
		u.toolkits = append(u.toolkits, toolkit)
	}
	return nil
}

// text reads the head of a PTX text for what the driver obeys: its .version, and
// its .target, but for the SM by which the driver chooses among entries.
func (x *examiner) text(u *unit, e *entry, image *facts.Image) error {
	b, err := x.head(e, lineBytes)
	if err != nil {
		return err
	}
	x.bytes.Reset(b)
	t, err := scanTokens(&x.bytes, false)
	if err != nil || !t.head && len(b) == lineBytes {
		// Comments may come first, or a long list of .target.
		t, err = x.scan(e, textBytes, false)
	}
	if err != nil {
		return err
	}
	u.defines = u.defines || t.defines
	image.ISA = cmp.Or(t.isa, e.isa)
	if t.target != "" && t.target != e.sm {
		u.unknown = append(u.unknown, fmt.Sprintf("PTX for sm_%s in an entry marked sm_%s", clean(t.target), e.sm))
		if number, suffix, ok := cutSM(t.target); ok {
			marked := strconv.FormatUint(uint64(e.target), 10)
			if number != marked {
				image.Holds = t.target
			}
			// Of the header's suffixes a driver heeds f alone (measured).
			if !strings.HasSuffix(e.sm, "f") {
				image.SM = marked + suffix
			}
		}
	}
	return nil
}

// cutSM takes the SM of a .target apart: "90a" is 90 and a.
func cutSM(target string) (number, suffix string, ok bool) {
	number = strings.TrimRight(target, "af")
	n, err := strconv.ParseUint(number, 10, 16)
	suffix = target[len(number):]
	return number, suffix, err == nil && number == strconv.FormatUint(n, 10) && len(suffix) <= 1
}

func (x *examiner) scan(e *entry, limit int64, definitions bool) (ptxText, error) {
	r, err := x.open(e)
	if err != nil {
		return ptxText{}, err
	}
	t, err := scanPTX(r, limit, definitions)
	if err != nil {
		return t, e.damaged(err)
	}
	return t, nil
}

// search reads on where the heads showed no definition: texts to their ends,
// then compressed cubins, the small ones first.
func (x *examiner) search(u *unit, c *container) error {
	if u.defines {
		return nil
	}
	list := make([]*entry, 0, len(c.entries))
	for i := range c.entries {
		list = append(list, &c.entries[i])
	}
	slices.SortStableFunc(list, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.payload.size, b.payload.size))
	})
	for _, e := range list {
		switch {
		case e.kind == kindPTX:
			t, err := x.scan(e, maxPayload, true)
			if err != nil {
				return err
			}
			u.defines = t.defines || !t.whole
		case e.kind == kindELF && e.compression != compressNone:
			var err error
			if u.defines, err = x.definesPacked(e); err != nil {
				return err
			}
		}
		if u.defines {
			return nil
		}
	}
	return nil
}

// definesPacked says whether a compressed cubin defines something. Linked cubins
// have their headers and names in front, so that a part is enough.
func (x *examiner) definesPacked(e *entry) (bool, error) {
	b, err := x.head(e, cubinBytes)
	if err != nil || namesKernel(b) {
		return err == nil, err
	}
	front := region{r: bytes.NewReader(b), file: e.payload.file, size: int64(len(b)), shown: e.payload.shown}
	if c, err := openCubin(front); err == nil {
		if defines, err := c.defines(); err == nil {
			return defines, nil
		}
	}
	c, err := openCubin(x.whole(e))
	if err != nil {
		return false, err
	}
	return c.defines()
}

// ownerOfInput says whose an input of relocatable code is, "" if it defines
// nothing: NVIDIA's where its smallest cubin is that of libcudadevrt.
func (x *examiner) ownerOfInput(u *unit, c *container) (string, error) {
	if !u.defines {
		return "", nil
	}
	var smallest *entry
	for i := range c.entries {
		if e := &c.entries[i]; e.kind == kindELF && (smallest == nil || e.payload.size < smallest.payload.size) {
			smallest = e
		}
	}
	if smallest == nil {
		return facts.OwnerOwn, nil
	}
	cubin, err := openCubin(x.whole(smallest))
	if err != nil {
		return "", err
	}
	runtime, err := cubin.isDeviceRuntime()
	if err != nil || !runtime {
		return facts.OwnerOwn, err
	}
	return facts.OwnerNVIDIA, nil
}

// clean makes a few foreign characters fit to print.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 16)])
}

// compareTargets orders machine code before PTX before the rest, then by SM.
func compareTargets(a, b facts.Image) int {
	return cmp.Or(cmp.Compare(kindRank(a.Kind), kindRank(b.Kind)), cmp.Compare(a.Kind, b.Kind), compareSM(a.SM, b.SM))
}

// compareImages orders by all that is said of an image.
func compareImages(a, b facts.Image) int {
	return cmp.Or(compareTargets(a, b), compareVersion(a.ISA, b.ISA), compareVersion(a.ISAHeader, b.ISAHeader), cmp.Compare(a.Compression, b.Compression))
}

func kindRank(kind string) int {
	switch kind {
	case facts.KindSASS:
		return 0
	case facts.KindPTX:
		return 1
	}
	return 2
}

// compareSM orders "75" before "90" before "90a" before "100".
func compareSM(a, b string) int {
	na, nb := strings.TrimRight(a, "af"), strings.TrimRight(b, "af")
	x, _ := strconv.Atoi(na)
	y, _ := strconv.Atoi(nb)
	return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
}

func compareVersion(a, b string) int {
	switch {
	case a == b:
		return 0
	case Newer(a, b):
		return 1
	}
	return -1
}

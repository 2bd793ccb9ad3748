package inspect

import (
	"bytes"
	"fmt"
	"strconv"
)

const (
	// abiNotes is the ABI version from which the toolkit stands in a note and
	// the SM in the second byte of e_flags.
	abiNotes = 8
	// flagAccel in e_flags of ABI 7 marks suffix a, for sm_90 only: stock cuBLAS
	// has older cubins with it set.
	flagAccel  = 0x800
	attrArch   = 9
	noteCUInfo = ".note.nv.cuinfo"
	// symbolEntry in st_other marks a kernel among functions.
	symbolEntry = 0x10
	symbolFunc  = 2
	// maxNote bounds a note or an attribute section of a cubin.
	maxNote = 1 << 16
)

// cuinfoOwner and type as they stand in front of the note's contents.
var cuinfoOwner = []byte("\xe8\x03\x00\x00NVIDIA Corp\x00")

// cubinHead is what the first 64 bytes of a cubin say.
type cubinHead struct {
	sm int
	// toolkit is "" from ABI 8 on.
	toolkit string
	abi     byte
	accel   bool
}

// readCubinHead reads a cubin's ELF header; ok is false for anything else.
func readCubinHead(h []byte) (c cubinHead, ok bool) {
	if len(h) < elfHeaderSize || !bytes.HasPrefix(h, elfMagic) || h[4] != 2 || h[5] != 1 || le.Uint16(h[18:]) != machineCUDA {
		return c, false
	}
	flags := le.Uint32(h[48:])
	c.abi = h[8]
	if c.abi >= abiNotes {
		c.sm = int(flags >> 8 & 0xff)
		return c, true
	}
	c.sm = int(flags & 0xff)
	c.accel = flags&flagAccel != 0 && c.sm >= 90
	if v := le.Uint32(h[20:]); v >= 20 && v < 1000 {
		c.toolkit = toolkitName(v)
	}
	return c, true
}

// toolkitName turns NVIDIA's code for a release into its name: 118 is "11.8".
func toolkitName(code uint32) string { return fmt.Sprintf("%d.%d", code/10, code%10) }

// parameterSection starts the name of the section with a kernel's parameters.
// Every kernel has one and nothing else does: so it is in libcudadevrt, among
// 32 kernels and 79 functions, and in all sm_75 cubins of cuBLASLt 11.8.
var parameterSection = []byte("\x00.nv.constant0.")

// namesKernel says whether the first bytes of a cubin, where the names of its
// sections mostly lie, name a kernel's section. False means not seen.
func namesKernel(b []byte) bool { return bytes.Contains(b, parameterSection) }

// findCUInfo looks for the toolkit's note among the first bytes of a cubin,
// where it lies but in large ones: "" means not seen.
func findCUInfo(b []byte) string {
	i := bytes.Index(b, cuinfoOwner)
	if i < 0 || len(b) < i+len(cuinfoOwner)+8 {
		return ""
	}
	return cuinfoToolkit(b[i+len(cuinfoOwner):])
}

// cuinfoToolkit reads the note's contents: u16 2, u16 sm, u32 toolkit.
func cuinfoToolkit(b []byte) string {
	if len(b) < 8 {
		return ""
	}
	if v := le.Uint32(b[4:]); v >= 20 && v < 1000 {
		return toolkitName(v)
	}
	return ""
}

// cubin is a whole cubin, opened by its section headers.
type cubin struct {
	*object
	head cubinHead
}

func openCubin(g region) (*cubin, error) {
	h, err := g.bytes(0, elfHeaderSize, "a cubin's header")
	if err != nil {
		return nil, err
	}
	head, ok := readCubinHead(h)
	if !ok {
		return nil, g.fail(0, "this is no cubin")
	}
	o, _, err := openSections(g)
	if err != nil {
		return nil, err
	}
	return &cubin{object: o, head: head}, nil
}

// defines says whether there is a kernel, or a device or constant variable.
// Device functions alone do not count: nothing can launch them.
func (c *cubin) defines() (bool, error) {
	for i := range c.sections {
		s := &c.sections[i]
		if s.size == 0 {
			continue
		}
		// Bank 3 is the user's constants; bank 0 kernel parameters, banks 2
		// and 4 the compiler's own.
		if c.hasName(s, ".nv.global") || c.hasName(s, ".nv.global.init") || c.hasName(s, ".nv.constant3") {
			return true, nil
		}
	}
	found := false
	err := c.kernels(func(uint32, *section) bool {
		found = true
		return false
	})
	return found, err
}

// kernels calls visit for every kernel with the place of its name in the table
// of strings, until visit returns false.
func (c *cubin) kernels(visit func(name uint32, strings *section) bool) error {
	for i := range c.sections {
		s := &c.sections[i]
		if s.kind != shtSymtab {
			continue
		}
		if uint64(s.link) >= uint64(len(c.sections)) {
			return c.fail(int64(s.off), "a cubin's symbols name section %d of %d", s.link, len(c.sections))
		}
		g, err := c.sub(s.off, s.size/symbolSize*symbolSize, "a cubin's symbols")
		if err != nil {
			return err
		}
		more := true
		err = g.chunks(symbolSize<<10, "a cubin's symbols", func(_ int64, b []byte) bool {
			for ; len(b) >= symbolSize && more; b = b[symbolSize:] {
				if b[4]&15 == symbolFunc && b[5]&symbolEntry != 0 && le.Uint16(b[6:]) != 0 {
					more = visit(le.Uint32(b), &c.sections[s.link])
				}
			}
			return more
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// deviceRuntime is part of the local name of every kernel in libcudadevrt,
// which nvcc makes of its source file's name.
var deviceRuntime = []byte("_cuda_device_runtime_cu_")

// isDeviceRuntime says whether all kernels are those of libcudadevrt, NVIDIA's
// library for launches from the device. nvcc links it into files that have no
// relocatable code of their own and nothing to launch it.
func (c *cubin) isDeviceRuntime() (bool, error) {
	var names []byte
	kernels, runtime := 0, 0
	var bad error
	err := c.kernels(func(name uint32, strings *section) bool {
		if names == nil {
			if names, bad = c.table(strings, "a cubin's strings"); bad != nil {
				return false
			}
		}
		kernels++
		if uint64(name) < uint64(len(names)) {
			text, _, _ := bytes.Cut(names[name:], []byte{0})
			if bytes.Contains(text, deviceRuntime) {
				runtime++
			}
		}
		return kernels == runtime
	})
	if err == nil {
		err = bad
	}
	return kernels > 0 && kernels == runtime, err
}

// toolkit is the CUDA release that made the cubin, "" where it does not say.
func (c *cubin) toolkit() (string, error) {
	if c.head.toolkit != "" {
		return c.head.toolkit, nil
	}
	for _, s := range c.named(noteCUInfo) {
		b, err := c.bytes(s.off, min(s.size, maxNote), "a cubin's note")
		if err != nil {
			return "", err
		}
		if t := findCUInfo(b); t != "" {
			return t, nil
		}
	}
	return "", nil
}

// sm is the cubin's own target with its suffix. From ABI 8 on only attribute 9
// of .nv.compat tells suffix a; suffix f stands in no cubin as far as is known.
func (c *cubin) sm() (string, error) {
	sm := strconv.Itoa(c.head.sm)
	if c.head.accel {
		return sm + "a", nil
	}
	if c.head.abi < abiNotes {
		return sm, nil
	}
	for _, s := range c.named(".nv.compat") {
		b, err := c.bytes(s.off, min(s.size, maxNote), "a cubin's attributes")
		if err != nil {
			return "", err
		}
		for ; len(b) >= 4 && b[0] == 2; b = b[4:] {
			if b[1] == attrArch && b[2] == 1 {
				return sm + "a", nil
			}
		}
	}
	return sm, nil
}

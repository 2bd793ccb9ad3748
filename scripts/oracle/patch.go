package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// image is one entry of a fat binary in a finished file. This reader stands
// apart from internal/inspect, which is what the oracle judges.
type image struct {
	name            string // "s90", "p75", "p90a", as the header says before any change
	header, payload []byte
}

var le = binary.LittleEndian

// images are the entries of all containers of an ELF file, as windows of data.
func images(data []byte) ([]image, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var all []image
	for _, name := range []string{".nv_fatbin", "__nv_relfatbin"} {
		s := f.Section(name)
		if s == nil {
			continue
		}
		b := data[s.Offset : s.Offset+s.Size]
		for at := 0; at+16 <= len(b); {
			if le.Uint32(b[at:]) != 0xba55ed50 {
				at += 8
				continue
			}
			end := at + 16 + int(le.Uint64(b[at+8:]))
			if end > len(b) {
				return nil, fmt.Errorf("a container of %s leads out of it", name)
			}
			for at += int(le.Uint16(b[at+6:])); at+64 <= end; {
				h, size := int(le.Uint32(b[at+4:])), int(le.Uint64(b[at+8:]))
				if h < 64 || at+h+size > end {
					return nil, fmt.Errorf("an entry of %s leads out of its container", name)
				}
				all = append(all, image{entryName(b[at:]), b[at : at+h], b[at+h : at+h+size]})
				at += h + size
			}
			at = end
		}
	}
	return all, nil
}

func entryName(h []byte) string {
	name := map[uint16]string{1: "p", 2: "s"}[le.Uint16(h)] + strconv.Itoa(int(le.Uint32(h[28:])))
	switch flags := le.Uint64(h[40:]); {
	case flags&0x100000 != 0:
		name += "a"
	case flags&0x200000 != 0:
		name += "f"
	}
	return name
}

// patchFile changes a finished file: "IMAGE WHAT VALUE", separated by semicolons.
func patchFile(path, patches string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	list, err := images(data)
	if err != nil {
		return err
	}
	for _, p := range strings.Split(patches, ";") {
		f := strings.Fields(p)
		if len(f) != 3 {
			return fmt.Errorf("%q is no patch", p)
		}
		hits := 0
		for _, i := range list {
			if i.name != f[0] {
				continue
			}
			if err := i.patch(f[1], f[2]); err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
			hits++
		}
		if hits == 0 {
			return fmt.Errorf("%s: no such image", p)
		}
	}
	return os.WriteFile(path, data, 0o755)
}

var (
	versionLine = regexp.MustCompile(`\.version\s+(\d\.\d)\s`)
	targetLine  = regexp.MustCompile(`\.target\s+sm_(\d\d)\s`)
)

func (i image) patch(what, value string) error {
	switch what {
	case "text":
		return replace(i.payload, versionLine, value)
	case "target":
		return replace(i.payload, targetLine, value)
	case "header-isa":
		major, minor, _ := strings.Cut(value, ".")
		a, err1 := strconv.Atoi(major)
		b, err2 := strconv.Atoi(minor)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("%q is no ISA", value)
		}
		le.PutUint16(i.header[26:], uint16(a))
		le.PutUint16(i.header[24:], uint16(b))
	case "header-sm":
		sm, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		le.PutUint32(i.header[28:], uint32(sm))
	case "flags":
		flags := le.Uint64(i.header[40:])
		switch value {
		case "a":
			flags |= 0x100000
		case "f":
			flags |= 0x200000
		case "none":
			flags &^= 0x300000
		default:
			more, err := strconv.ParseUint(value, 0, 64)
			if err != nil {
				return err
			}
			flags |= more
		}
		le.PutUint64(i.header[40:], flags)
	default:
		return fmt.Errorf("nothing is known to change %q", what)
	}
	return nil
}

// replace puts a value of the same length where a line of a stored text says another.
func replace(text []byte, line *regexp.Regexp, value string) error {
	at := line.FindSubmatchIndex(text)
	if at == nil || at[3]-at[2] != len(value) {
		return fmt.Errorf("the text has no such line: is it stored as it is?")
	}
	copy(text[at[2]:at[3]], value)
	return nil
}

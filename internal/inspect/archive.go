package inspect

import (
	"bytes"
	"strconv"
	"strings"
)

const (
	archiveMagic  = "!<arch>\n"
	thinMagic     = "!<thin>\n"
	memberHeader  = 60
	maxMembers    = 1 << 20
	maxMemberName = 4 << 10
)

// eachMember calls visit with every member of a static archive that is not part
// of its index. Errors name the member as "lib.a(member.o)".
func eachMember(g region, visit func(m region) error) error {
	var long []byte
	for off, n := uint64(len(archiveMagic)), 0; g.has(off, 1); n++ {
		if n >= maxMembers {
			return g.fail(int64(off), "more than %d archive members", maxMembers)
		}
		h, err := g.bytes(off, memberHeader, "an archive member's header")
		if err != nil {
			return err
		}
		if h[58] != '`' || h[59] != '\n' {
			return g.fail(int64(off), "no archive member here")
		}
		size, err := strconv.ParseUint(strings.TrimSpace(string(h[48:58])), 10, 63)
		if err != nil {
			return g.fail(int64(off)+48, "an archive member's size is %q", h[48:58])
		}
		m, err := g.sub(off+memberHeader, size, "an archive member")
		if err != nil {
			return err
		}
		// Offsets in errors count from the start of the member, as its name says.
		m.shown = 0
		name := strings.TrimRight(string(h[:16]), " ")
		off += memberHeader + size + size&1
		switch {
		case name == "//":
			if size > maxTable {
				return g.fail(int64(off), "archive member names take %d bytes", size)
			}
			if long, err = m.bytes(0, size, "the archive's long names"); err != nil {
				return err
			}
			continue
		case name == "/" || name == "/SYM64/" || strings.HasPrefix(name, "__.SYMDEF"):
			continue
		case strings.HasPrefix(name, "#1/"):
			if m, name, err = bsdName(m, name); err != nil {
				return err
			}
		case strings.HasPrefix(name, "/"):
			name = longName(long, name[1:])
		default:
			name = strings.TrimSuffix(name, "/")
		}
		m.file = g.file + "(" + strings.ToValidUTF8(name, "?") + ")"
		if err := visit(m); err != nil {
			return err
		}
	}
	return nil
}

// longName looks a name up in GNU's table, where names end in "/\n".
func longName(table []byte, number string) string {
	off, err := strconv.ParseUint(number, 10, 32)
	if err != nil || off >= uint64(len(table)) {
		return "/" + number
	}
	name, _, _ := bytes.Cut(table[off:], []byte("\n"))
	return strings.TrimSuffix(string(name[:min(len(name), maxMemberName)]), "/")
}

// bsdName takes a name that stands in front of the member's contents.
func bsdName(m region, name string) (region, string, error) {
	n, err := strconv.ParseUint(name[3:], 10, 32)
	if err != nil || n > maxMemberName {
		return m, "", m.fail(0, "an archive member's name is %q", name)
	}
	b, err := m.bytes(0, n, "an archive member's name")
	if err != nil {
		return m, "", err
	}
	rest, err := m.sub(n, uint64(m.size)-n, "an archive member")
	return rest, strings.TrimRight(string(b), "\x00"), err
}

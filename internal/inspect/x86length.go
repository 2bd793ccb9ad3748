package inspect

// How the bytes after an opcode are counted, by map and opcode (Intel SDM
// volume 2, appendix A; AMD APM volume 3). One letter an opcode:
//
//	.  nothing        m  ModRM               b  1 byte        z  2 or 4 bytes
//	x  no instruction M  ModRM and 1 byte    Z  ModRM and z   w  2 bytes
//	p  prefix         r  4 bytes             v  2, 4 or 8     o  an address
//	f  F6, F  F7      e  ENTER               V  VEX, E  EVEX  X  XOP or POP
//	0  the next map
const (
	oneByte = "mmmmbzxx" + "mmmmbzx0" +
		"mmmmbzxx" + "mmmmbzxx" +
		"mmmmbzpx" + "mmmmbzpx" +
		"mmmmbzpx" + "mmmmbzpx" +
		"pppppppp" + "pppppppp" +
		"........" + "........" +
		"xxEmpppp" + "zZbM...." +
		"bbbbbbbb" + "bbbbbbbb" +
		"MZxMmmmm" + "mmmmmmmX" +
		"........" + "..x....." +
		"oooo...." + "bz......" +
		"bbbbbbbb" + "vvvvvvvv" +
		"MMw.VVMZ" + "e.w..bx." +
		"mmmmxxx." + "mmmmmmmm" +
		"bbbbbbbb" + "rrxb...." +
		"p.pp..fF" + "......mm"
	twoByte = "mmmmx..." + "..x.xm.M" +
		"mmmmmmmm" + "mmmmmmmm" +
		"mmmmxxxx" + "mmmmmmmm" +
		"......x." + "0x0xxxxx" +
		"mmmmmmmm" + "mmmmmmmm" +
		"mmmmmmmm" + "mmmmmmmm" +
		"mmmmmmmm" + "mmmmmmmm" +
		"MMMMmmm." + "mmxxmmmm" +
		"rrrrrrrr" + "rrrrrrrr" +
		"mmmmmmmm" + "mmmmmmmm" +
		"...mMmmm" + "...mMmmm" +
		"mmmmmmmm" + "mmMmmmmm" +
		"mmMmMMMm" + "........" +
		"mmmmmmmm" + "mmmmmmmm" +
		"mmmmmmmm" + "mmmmmmmm" +
		"mmmmmmmm" + "mmmmmmmm"
)

// maxInstruction is the longest that a processor takes.
const maxInstruction = 15

// What an instruction begins with.
type encoding uint8

const (
	encLegacy encoding = iota
	encVEX
	encEVEX
	encXOP
)

// instruction is as much of one as tells its length and its extension.
type instruction struct {
	// n is how many bytes it takes.
	n   int
	enc encoding
	// table is the opcode map: 0 one byte, 1 0F, 2 0F38, 3 0F3A, and so on.
	table byte
	op    byte
	// prefix is the mandatory one: 0, 0x66, 0xF3 or 0xF2.
	prefix byte
	modrm  byte
	wide   bool // REX.W, VEX.W
	long   byte // VEX.L, EVEX.L'L: 0 for 128 bits
}

// memory says whether an operand is in memory.
func (i *instruction) memory() bool { return i.modrm < 0xc0 }

// reg is the middle field of ModRM, which extends some opcodes.
func (i *instruction) reg() byte { return i.modrm >> 3 & 7 }

var vexPrefix = [4]byte{0, 0x66, 0xf3, 0xf2}

// decode reads the instruction that b starts with, for 64-bit mode. It is false
// where that is none, or is cut off by the end of b.
func (i *instruction) decode(b []byte) bool {
	*i = instruction{}
	at := 0
	var rex byte
	size16, addr32 := false, false
	for ; ; at++ {
		if at >= len(b) || at >= maxInstruction {
			return false
		}
		c := b[at]
		if oneByte[c] != 'p' {
			break
		}
		if c&0xf0 == 0x40 {
			rex = c
			continue
		}
		rex = 0 // REX counts only right before the opcode
		switch c {
		case 0x66:
			size16 = true
			if i.prefix == 0 {
				i.prefix = c
			}
		case 0x67:
			addr32 = true
		case 0xf2, 0xf3:
			i.prefix = c
		}
	}
	i.wide = rex&8 != 0
	i.op = b[at]
	at++
	kind := oneByte[i.op]
	switch kind {
	case '0':
		if at >= len(b) {
			return false
		}
		i.table, i.op = 1, b[at]
		at++
		kind = twoByte[i.op]
		if kind == '0' {
			if at >= len(b) {
				return false
			}
			i.table, kind = 2, 'm'
			if i.op == 0x3a {
				i.table, kind = 3, 'M'
			}
			i.op = b[at]
			at++
		}
	case 'V', 'E':
		return i.vector(b, at)
	case 'X':
		if at < len(b) && b[at]&0x1f >= 8 {
			return i.xop(b, at)
		}
		kind = 'm'
	}
	return i.operands(b, at, kind, size16, addr32)
}

// operands counts ModRM and what follows it.
func (i *instruction) operands(b []byte, at int, kind byte, size16, addr32 bool) bool {
	z := 4
	if size16 && !i.wide {
		z = 2
	}
	imm, modrm := 0, false
	switch kind {
	case '.':
	case 'm':
		modrm = true
		// EXTRQ and INSERTQ of SSE4a have two bytes more.
		if i.table == 1 && i.op == 0x78 && (i.prefix == 0x66 || i.prefix == 0xf2) {
			imm = 2
		}
	case 'M':
		modrm, imm = true, 1
	case 'Z':
		modrm, imm = true, z
	case 'b':
		imm = 1
	case 'w':
		imm = 2
	case 'e':
		imm = 3
	case 'z':
		imm = z
	case 'r':
		imm = 4
	case 'v':
		if imm = z; i.wide {
			imm = 8
		}
	case 'o':
		if imm = 8; addr32 {
			imm = 4
		}
	case 'f', 'F':
		modrm = true
		if at < len(b) && b[at]>>3&7 < 2 {
			if imm = 1; kind == 'F' {
				imm = z
			}
		}
	default:
		return false
	}
	if modrm {
		if at >= len(b) {
			return false
		}
		i.modrm = b[at]
		at = address(b, at)
	}
	i.n = at + imm
	return i.n <= len(b) && i.n <= maxInstruction
}

// address is where what ModRM at b[at] says ends; past the end of b if that is cut.
func address(b []byte, at int) int {
	m := b[at]
	at++
	mod, rm := m>>6, m&7
	if mod == 3 {
		return at
	}
	if rm == 4 {
		if at >= len(b) {
			return at + 1
		}
		rm = b[at] & 7
		at++
	}
	switch {
	case mod == 1:
		return at + 1
	case mod == 2 || rm == 5:
		return at + 4
	}
	return at
}

// vector reads on behind the first byte of VEX (C4, C5) or EVEX (62).
func (i *instruction) vector(b []byte, at int) bool {
	first := i.op
	need := 4
	switch first {
	case 0xc5:
		need = 2
	case 0xc4:
		need = 3
	}
	if at+need > len(b) {
		return false
	}
	i.enc = encVEX
	var last byte
	switch first {
	case 0xc5:
		i.table, i.wide, last = 1, false, b[at]
	case 0xc4:
		i.table, last = b[at]&0x1f, b[at+1]
		i.wide = last&0x80 != 0
	case 0x62:
		i.enc = encEVEX
		i.table, last = b[at]&7, b[at+1]
		i.wide = last&0x80 != 0
		i.long = b[at+2] >> 5 & 3
		if b[at]&8 != 0 || last&4 == 0 {
			return false // of later extensions (APX)
		}
	}
	if first != 0x62 {
		i.long = last >> 2 & 1
	}
	i.prefix = vexPrefix[last&3]
	i.op = b[at+need-1]
	kind := byte('m')
	switch i.table {
	case 1:
		if kind = twoByte[i.op]; kind == 'r' || kind == 'x' || kind == '0' || kind == '.' && i.op != 0x77 {
			kind = 'm' // mask registers use opcodes that are none without VEX
			if i.op < 0x10 || i.op >= 0x80 && (i.op < 0x90 || i.op > 0x99) {
				return false
			}
		}
		if i.op == 0x78 {
			i.prefix &= 0x66 // no immediate here, unlike SSE4a
			kind = 'n'
		}
	case 2, 5, 6:
	case 3:
		kind = 'M'
	default:
		return false
	}
	if kind == 'n' {
		if at+need >= len(b) {
			return false
		}
		i.modrm = b[at+need]
		i.n = address(b, at+need)
		return i.n <= len(b)
	}
	return i.operands(b, at+need, kind, false, false)
}

// xop reads on behind 8F: AMD's extensions of 2011.
func (i *instruction) xop(b []byte, at int) bool {
	if at+3 > len(b) {
		return false
	}
	i.enc, i.table, i.wide, i.op = encXOP, b[at]&0x1f, b[at+1]&0x80 != 0, b[at+2]
	switch i.table {
	case 8:
		return i.operands(b, at+3, 'M', false, false)
	case 9:
		return i.operands(b, at+3, 'm', false, false)
	case 10:
		return i.operands(b, at+3, 'Z', false, false)
	}
	return false
}

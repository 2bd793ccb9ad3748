package inspect

// isa is an instruction-set extension of x86-64.
type isa uint8

// The order is that of the facts: by level, then what no level has.
const (
	isaBase isa = iota
	// isaSSE is SSE and SSE2, which every x86-64 has.
	isaSSE
	isaCPUID
	isaSSE3
	isaSSSE3
	isaSSE41
	isaSSE42
	isaPopcnt
	isaCX16
	isaAVX
	isaF16C
	isaFMA
	isaAVX2
	isaBMI1
	isaBMI2
	isaLzcnt
	isaMovbe
	isaAVX512
	isaAVX512IFMA
	isaAVX512VBMI
	isaAVX512VBMI2
	isaAVX512VNNI
	isaAVX512Bitalg
	isaAVX512BF16
	isaAVX512FP16
	isaAMX
	isaAVXVNNI
	isaAES
	isaPclmul
	isaGFNI
	isaSHA
	isaADX
	isaSSE4A
	isaFMA4
	isaXOP
	isaCount
)

// isaNames are what /proc/cpuinfo calls them, where it has one name.
var isaNames = [isaCount]string{isaBase: "base", isaSSE: "sse2", isaCPUID: "cpuid", isaSSE3: "sse3", isaSSSE3: "ssse3", isaSSE41: "sse4_1", isaSSE42: "sse4_2",
	isaPopcnt: "popcnt", isaCX16: "cx16", isaAVX: "avx", isaF16C: "f16c", isaFMA: "fma", isaAVX2: "avx2", isaBMI1: "bmi1", isaBMI2: "bmi2",
	isaLzcnt: "lzcnt", isaMovbe: "movbe", isaAVX512: "avx512", isaAVX512IFMA: "avx512ifma", isaAVX512VBMI: "avx512vbmi", isaAVX512VBMI2: "avx512_vbmi2",
	isaAVX512VNNI: "avx512_vnni", isaAVX512Bitalg: "avx512_bitalg", isaAVX512BF16: "avx512_bf16", isaAVX512FP16: "avx512_fp16", isaAMX: "amx",
	isaAVXVNNI: "avx_vnni", isaAES: "aes", isaPclmul: "pclmulqdq", isaGFNI: "gfni", isaSHA: "sha_ni", isaADX: "adx", isaSSE4A: "sse4a", isaFMA4: "fma4", isaXOP: "xop"}

// isaLevels are the psABI's: the level that first has an extension, 0 for one
// that none has.
var isaLevels = [isaCount]int{isaBase: 1, isaSSE: 1, isaCPUID: 1, isaSSE3: 2, isaSSSE3: 2, isaSSE41: 2, isaSSE42: 2, isaPopcnt: 2, isaCX16: 2,
	isaAVX: 3, isaF16C: 3, isaFMA: 3, isaAVX2: 3, isaBMI1: 3, isaBMI2: 3, isaLzcnt: 3, isaMovbe: 3, isaAVX512: 4}

// isa says which extension an instruction belongs to. Those that older
// processors take for another one and run (TZCNT for BSF, ENDBR64 and the like
// for a no-op) belong to none: compilers use them everywhere.
func (i *instruction) isa() isa {
	switch i.enc {
	case encVEX:
		return i.vexISA()
	case encEVEX:
		return i.evexISA()
	case encXOP:
		return isaXOP
	}
	switch i.table {
	case 0:
		// FISTTP
		if i.op >= 0xdb && i.op <= 0xdf && i.op&1 == 1 && i.memory() && i.reg() == 1 {
			return isaSSE3
		}
		return isaBase
	case 1:
		return i.isa0F()
	case 2:
		return i.isa0F38()
	}
	return i.isa0F3A()
}

func (i *instruction) isa0F() isa {
	op, p := i.op, i.prefix
	switch {
	case op == 0xa2:
		return isaCPUID
	case op == 0x01 && (i.modrm == 0xc8 || i.modrm == 0xc9): // MONITOR, MWAIT
		return isaSSE3
	case op == 0xb8 && p == 0xf3:
		return isaPopcnt
	case op == 0xbd && p == 0xf3:
		return isaLzcnt
	case op == 0xc7 && i.memory() && i.reg() == 1 && i.wide:
		return isaCX16
	case op == 0xd0 && (p == 0x66 || p == 0xf2), (op == 0x7c || op == 0x7d) && (p == 0x66 || p == 0xf2), op == 0xf0 && p == 0xf2,
		op == 0x12 && (p == 0xf2 || p == 0xf3), op == 0x16 && p == 0xf3:
		return isaSSE3
	case op == 0x2b && (p == 0xf2 || p == 0xf3), (op == 0x78 || op == 0x79) && (p == 0x66 || p == 0xf2):
		return isaSSE4A
	case op >= 0x10 && op <= 0x17, op >= 0x28 && op <= 0x2f, op >= 0x50 && op <= 0x5f, op == 0xc2, op == 0xc6,
		p != 0 && (op >= 0x60 && op <= 0x7f || op == 0xc4 || op == 0xc5 || op >= 0xd0 && op < 0xff):
		return isaSSE
	}
	return isaBase
}

func (i *instruction) isa0F38() isa {
	op, p := i.op, i.prefix
	switch {
	case op <= 0x0b, op >= 0x1c && op <= 0x1e:
		return isaSSSE3
	case op == 0x37:
		return isaSSE42
	case op >= 0x10 && op <= 0x41:
		return isaSSE41
	case op >= 0xc8 && op <= 0xcd:
		return isaSHA
	case op == 0xcf:
		return isaGFNI
	case op >= 0xdb && op <= 0xdf:
		return isaAES
	case op == 0xf0 || op == 0xf1:
		if p == 0xf2 {
			return isaSSE42 // CRC32
		}
		return isaMovbe
	case op == 0xf6 && p != 0:
		return isaADX
	}
	return isaBase
}

func (i *instruction) isa0F3A() isa {
	switch op := i.op; {
	case op == 0x0f:
		return isaSSSE3
	case op <= 0x42:
		return isaSSE41
	case op == 0x44:
		return isaPclmul
	case op >= 0x60 && op <= 0x63:
		return isaSSE42
	case op == 0xcc:
		return isaSHA
	case op == 0xce || op == 0xcf:
		return isaGFNI
	case op == 0xdf:
		return isaAES
	}
	return isaBase
}

// wideInteger says whether an opcode of map 0F is one for packed integers,
// which AVX has for 128 bits and AVX2 for 256.
func wideInteger(op byte) bool {
	switch {
	case op >= 0x60 && op <= 0x6d, op >= 0x70 && op <= 0x76:
		return true
	case op >= 0xd1 && op <= 0xfe:
		return op != 0xd6 && op != 0xe6 && op != 0xe7 && op != 0xf0
	}
	return false
}

func (i *instruction) vexISA() isa {
	op, long := i.op, i.long != 0
	switch i.table {
	case 1:
		switch {
		case op >= 0x41 && op <= 0x4b, op >= 0x90 && op <= 0x99:
			return isaAVX512 // mask registers
		case long && wideInteger(op):
			return isaAVX2
		}
		return isaAVX
	case 2:
		return i.vexISA0F38()
	}
	switch {
	case op <= 0x02, op == 0x38, op == 0x39, op == 0x46:
		return isaAVX2
	case long && (op == 0x0e || op == 0x0f || op == 0x42 || op == 0x4c):
		return isaAVX2
	case op == 0x1d:
		return isaF16C
	case op >= 0x30 && op <= 0x33:
		return isaAVX512
	case op == 0x44:
		return isaPclmul
	case op == 0x48 || op == 0x49:
		return isaXOP
	case op >= 0x5c && op <= 0x5f, op >= 0x68 && op <= 0x6f, op >= 0x78 && op <= 0x7f:
		return isaFMA4
	case op == 0xce || op == 0xcf:
		return isaGFNI
	case op == 0xdf:
		return isaAES
	case op == 0xf0:
		return isaBMI2
	}
	return isaAVX
}

func (i *instruction) vexISA0F38() isa {
	op, long := i.op, i.long != 0
	switch {
	case op == 0x13:
		return isaF16C
	case op == 0x16, op == 0x36, op >= 0x45 && op <= 0x47, op == 0x58, op == 0x59, op == 0x5a, op == 0x78, op == 0x79, op == 0x8c, op == 0x8e,
		op >= 0x90 && op <= 0x93:
		return isaAVX2
	case (op == 0x18 || op == 0x19) && !i.memory():
		return isaAVX2 // broadcast from a register
	case long && (op <= 0x0b || op >= 0x1c && op <= 0x25 || op >= 0x28 && op <= 0x2b || op >= 0x30 && op <= 0x40):
		return isaAVX2
	case op == 0x49, op == 0x4b, op == 0x5c, op == 0x5e, op == 0x6c:
		return isaAMX
	case op >= 0x50 && op <= 0x53, op == 0x72, op >= 0xb0 && op <= 0xb5, op == 0xd2, op == 0xd3:
		return isaAVXVNNI
	case op >= 0x96 && op <= 0xbf:
		return isaFMA
	case op == 0xcf:
		return isaGFNI
	case op >= 0xdb && op <= 0xdf:
		return isaAES
	case op == 0xf2, op == 0xf3, op == 0xf7 && i.prefix == 0:
		return isaBMI1
	case op == 0xf5, op == 0xf6, op == 0xf7:
		return isaBMI2
	}
	return isaAVX
}

// evexISA tells the parts of AVX-512 that came later from those of
// x86-64-v4 (F, CD, BW, DQ, VL).
func (i *instruction) evexISA() isa {
	op, p := i.op, i.prefix
	switch i.table {
	case 2:
		switch {
		case op == 0x52 && p == 0xf3, op == 0x72 && (p == 0xf2 || p == 0xf3):
			return isaAVX512BF16
		case p != 0x66:
		case op >= 0x50 && op <= 0x53:
			return isaAVX512VNNI
		case op == 0x54, op == 0x55, op == 0x8f:
			return isaAVX512Bitalg
		case op == 0xb4, op == 0xb5:
			return isaAVX512IFMA
		case op == 0x83, (op == 0x8d || op == 0x75 || op == 0x7d) && !i.wide:
			return isaAVX512VBMI
		case op == 0x62, op == 0x63, op >= 0x70 && op <= 0x73:
			return isaAVX512VBMI2
		case op == 0xcf:
			return isaGFNI
		case op >= 0xdc && op <= 0xdf:
			return isaAES
		}
	case 3:
		switch {
		case p != 0x66:
			return isaAVX512FP16
		case op >= 0x70 && op <= 0x73:
			return isaAVX512VBMI2
		case op == 0x44:
			return isaPclmul
		case op == 0xce || op == 0xcf:
			return isaGFNI
		}
	case 5, 6:
		return isaAVX512FP16
	}
	return isaAVX512
}

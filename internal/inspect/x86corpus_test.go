//go:build corpus

package inspect

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The disassembler of binutils is the second witness of our decoder: both read
// every ELF file for x86-64 below the folders of LLCUDA_CORPUS, and have to see
// instructions begin at the same places and belong to the same extensions.
func TestObjdumpSeesTheSameInstructions(t *testing.T) {
	roots := filepath.SplitList(os.Getenv("LLCUDA_CORPUS"))
	if len(roots) == 0 {
		t.Fatal("LLCUDA_CORPUS names no folder: run scripts/corpus-x86.sh")
	}
	var total comparison
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			if c, ok := compare(t, path); ok {
				total.add(c)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	total.log(t, "all")
	if total.functions == 0 {
		t.Fatal("no file for x86-64 was found")
	}
	if float64(total.matched) < 0.9999*float64(total.instructions) {
		t.Errorf("%d of %d instructions begin at the same place: less than 99.99 %%", total.matched, total.instructions)
	}
}

// comparison counts what the two witnesses say of one file.
type comparison struct {
	functions, instructions, matched int
	// unsynced functions start within what objdump takes for an instruction.
	unsynced, undecoded, classes int
	counts                       [isaCount]int
}

func (c *comparison) add(d comparison) {
	c.functions += d.functions
	c.instructions += d.instructions
	c.matched += d.matched
	c.unsynced += d.unsynced
	c.undecoded += d.undecoded
	c.classes += d.classes
	for i := range c.counts {
		c.counts[i] += d.counts[i]
	}
}

func (c *comparison) log(t *testing.T, name string) {
	var words []string
	for k := isaSSE3; k < isaCount; k++ {
		if c.counts[k] > 0 {
			words = append(words, isaNames[k]+" "+strconv.Itoa(c.counts[k]))
		}
	}
	t.Logf("%s: %d functions, %d instructions, %d not where objdump has one, %d of another class, %d functions out of step with objdump, %d not decoded to the end; %s",
		name, c.functions, c.instructions, c.instructions-c.matched, c.classes, c.unsynced, c.undecoded, strings.Join(words, ", "))
}

type line struct {
	bytes []byte
	text  string
}

func compare(t *testing.T, path string) (c comparison, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	g := region{r: f, file: path, size: info.Size()}
	head, err := g.prefix(4)
	if err != nil || !bytes.Equal(head, elfMagic) {
		return c, false
	}
	o, err := openELF(g)
	if err != nil || o.machine != machineX86 || o.kind == typeRelocable {
		return c, false
	}
	list, err := functions(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		list = o.codeSections()
	}
	listing := disassemble(t, path)
	shown := 0
	for _, f := range list {
		if _, ok := listing[f.addr]; !ok {
			c.unsynced++
			continue
		}
		c.functions++
		b, err := o.bytes(must(o.fileOffset(f.addr)), f.size, "code")
		if err != nil {
			t.Fatal(err)
		}
		var i instruction
		for at := f.addr; at < f.end(); {
			if !i.decode(b[at-f.addr:]) {
				c.undecoded++
				break
			}
			c.instructions++
			l, there := listing[at]
			kind := i.isa()
			if kind > isaCPUID {
				c.counts[kind]++
			}
			switch {
			case !there || len(l.bytes) != i.n && !fused(l):
				if shown++; shown < 5 {
					t.Logf("%s: %#x: % x: objdump has %q of % x, %d bytes here", path, at, b[at-f.addr:min(uint64(len(b)), at-f.addr+12)], l.text, l.bytes, i.n)
				}
			default:
				c.matched++
				if want := classOf(l); want != kind && (want > isaCPUID || kind > isaCPUID) {
					c.classes++
					if shown++; shown < 10 {
						t.Errorf("%s: %#x: % x: %q is %s to objdump and %s here", path, at, l.bytes, l.text, isaNames[want], isaNames[kind])
					}
				}
			}
			at += uint64(i.n)
		}
	}
	c.log(t, path)
	return c, true
}

func must(off uint64, ok bool) uint64 {
	if !ok {
		panic("an address outside the file")
	}
	return off
}

// fused: objdump takes FWAIT and the instruction behind it for one.
func fused(l line) bool { return len(l.bytes) > 1 && l.bytes[0] == 0x9b }

func disassemble(t *testing.T, path string) map[uint64]line {
	cmd := exec.CommandContext(t.Context(), "objdump", "-dw", "--insn-width=16", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	list := map[uint64]line{}
	s := bufio.NewScanner(out)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		parts := strings.SplitN(s.Text(), "\t", 3)
		if len(parts) < 2 || !strings.HasSuffix(parts[0], ":") {
			continue
		}
		addr, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(parts[0], ":")), 16, 64)
		if err != nil {
			continue
		}
		l := line{}
		for _, h := range strings.Fields(parts[1]) {
			v, err := strconv.ParseUint(h, 16, 8)
			if err != nil {
				break
			}
			l.bytes = append(l.bytes, byte(v))
		}
		if len(parts) == 3 {
			l.text = parts[2]
		}
		list[addr] = l
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("objdump of %s: %v", path, err)
	}
	return list
}

var prefixWords = regexp.MustCompile(`^((rep[a-z]*|lock|notrack|data16|addr32|bnd|[c-gs]s|rex[.A-Z]*|\{[a-z0-9]+\}|xacquire|xrelease) +)+`)

// words of mnemonics by extension, as regular expressions over the whole.
var byMnemonic = []struct {
	isa   isa
	exact *regexp.Regexp
}{
	{isaSSE3, full(`addsubp[sd]|h(add|sub)p[sd]|lddqu|movddup|movs[hl]dup|monitor|mwait|fisttp.*`)},
	{isaSSSE3, full(`pshufb|ph(add|sub)s?[wd]w?|pmaddubsw|pmulhrsw|psign[bwd]|palignr|pabs[bwd]`)},
	{isaSSE42, full(`pcmpgtq|pcmp[ei]str[im]q?|crc32.?`)},
	{isaSSE41, full(`pblendvb|blendvp[sd]|blendp[sd]|pblendw|ptest|pmov[sz]x..|pmuldq|pcmpeqq|movntdqa|packusdw|p(min|max)(sb|sd|uw|ud)|pmulld|phminposuw|round[sp][sd]|dpp[sd]|mpsadbw|insertps|extractps|pinsr[bdq]|pextr[bdq]`)},
	{isaPopcnt, full(`popcnt.?`)}, {isaLzcnt, full(`lzcnt.?`)}, {isaMovbe, full(`movbe.?`)}, {isaCX16, full(`cmpxchg16b`)},
	{isaAES, full(`aes.*`)}, {isaPclmul, full(`pclmul.*`)}, {isaSHA, full(`sha(1|256).*`)}, {isaADX, full(`ad[co]x.?`)}, {isaGFNI, full(`gf2p8.*`)},
	{isaSSE4A, full(`extrq|insertq|movnts[sd]`)}, {isaCPUID, full(`cpuid`)},
}

var byVEX = []struct {
	isa   isa
	exact *regexp.Regexp
}{
	{isaFMA, full(`vfn?m(add|sub|addsub|subadd)(132|213|231).*`)}, {isaFMA4, full(`vfn?m(add|sub|addsub|subadd)[sp][sd]`)},
	{isaF16C, full(`vcvtph2ps|vcvtps2ph`)}, {isaBMI1, full(`andn|bextr|bls(i|r|msk).?`)}, {isaBMI2, full(`bzhi|pext|pdep|mulx|rorx|sarx|sh[lr]x`)},
	{isaAVXVNNI, full(`vpdp.*|vpmadd52.*|vcvtne.*|vbcstne.*`)}, {isaAMX, full(`tile.*|tdp.*|(ld|st)tilecfg|tcmm.*`)},
	{isaAVX512, full(`k(mov|and|or|xor|xnor|not|add|test|ortest|shift|unpck)[a-z]+`)},
	{isaAES, full(`vaes.*`)}, {isaPclmul, full(`vpclmul.*`)}, {isaGFNI, full(`vgf2p8.*`)},
	{isaXOP, full(`vpermil2p[sd]`)},
	{isaAVX2, full(`v(broadcast|insert|extract)i128|vpbroadcast[bwdq]|vperm(d|q|ps|pd)|vps[lr]lv[dq]|vpsravd|vp?gather.*|vpmaskmov.|vpblendd|vperm2i128`)},
}

var byEVEX = []struct {
	isa   isa
	exact *regexp.Regexp
}{
	{isaAVX512BF16, full(`vdpbf16ps|vcvtne.*bf16.?`)}, {isaAVX512VNNI, full(`vpdp.*`)}, {isaAVX512Bitalg, full(`vpopcnt.|vpshufbitqmb`)},
	{isaAVX512IFMA, full(`vpmadd52.*`)}, {isaAVX512VBMI, full(`vpermb|vperm[it]2b|vpmultishiftqb`)}, {isaAVX512VBMI2, full(`vp(expand|compress)[bw]|vpsh[lr]dv?.`)},
	{isaGFNI, full(`vgf2p8.*`)}, {isaAES, full(`vaes.*`)}, {isaPclmul, full(`vpclmul.*`)},
	{isaAVX512, full(`vcvtph2ps|vcvtps2ph`)},
	{isaAVX512FP16, full(`v.*(ph|sh)|vcvt.*(ph|sh)x?2.*|vmovw`)},
}

func full(s string) *regexp.Regexp { return regexp.MustCompile(`^(` + s + `)$`) }

// classOf reads an extension off objdump's words, with none of our tables.
func classOf(l line) isa {
	text := prefixWords.ReplaceAllString(l.text, "")
	mnemonic, operands, _ := strings.Cut(text, " ")
	operands, _, _ = strings.Cut(operands, "#")
	b := l.bytes
	for len(b) > 0 && bytes.IndexByte([]byte{0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3}, b[0]) >= 0 {
		b = b[1:]
	}
	if len(b) == 0 {
		return isaBase
	}
	search := func(list []struct {
		isa   isa
		exact *regexp.Regexp
	}, otherwise isa) isa {
		i := slices.IndexFunc(list, func(e struct {
			isa   isa
			exact *regexp.Regexp
		}) bool {
			return e.exact.MatchString(mnemonic)
		})
		if i < 0 {
			return otherwise
		}
		return list[i].isa
	}
	switch b[0] {
	case 0x62:
		return search(byEVEX, isaAVX512)
	case 0xc4, 0xc5:
		otherwise := isaAVX
		if strings.Contains(operands, "%ymm") {
			// Integers of 256 bits. vmovdqa, vmovdqu and the like are AVX.
			if strings.HasPrefix(mnemonic, "vp") && !full(`vpermilp[sd]|vperm2f128|vptest`).MatchString(mnemonic) || mnemonic == "vmovntdqa" || mnemonic == "vmpsadbw" {
				otherwise = isaAVX2
			}
		}
		if full(`vbroadcasts[sd]`).MatchString(mnemonic) && !strings.Contains(operands, "(") {
			otherwise = isaAVX2
		}
		return search(byVEX, otherwise)
	case 0x8f:
		if !strings.HasPrefix(mnemonic, "pop") {
			return isaXOP
		}
	}
	if mnemonic == "pextrw" && strings.Contains(operands, "(") {
		return isaSSE41
	}
	return search(byMnemonic, isaBase)
}

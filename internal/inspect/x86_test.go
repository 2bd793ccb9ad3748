package inspect

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// testdata/x86.txt was assembled by GNU as and read back by objdump, which also
// named the instruction from which the extension follows.
func TestInstructionsHaveTheLengthAndExtensionThatObjdumpSays(t *testing.T) {
	list, err := os.ReadFile("testdata/x86.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for l := range strings.Lines(string(list)) {
		fields := strings.Split(strings.TrimSpace(l), "\t")
		code, err := hex.DecodeString(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		var i instruction
		// What follows must not matter, and a cut must be noticed.
		for _, after := range []string{"", "\x00\x00\x00\x00\x00\x00", "\xff\xff\xff\xff\xff\xff"} {
			if !i.decode(append(code[:len(code):len(code)], after...)) || i.n != len(code) {
				t.Errorf("%s: %s: %d bytes, want %d", fields[0], fields[2], i.n, len(code))
			}
		}
		want := fields[1]
		if got := isaNames[i.isa()]; got != want && (want != "base" || got != "sse2") {
			t.Errorf("%s: %s: is %s, want %s", fields[0], fields[2], got, want)
		}
		seen[want]++
		for n := range len(code) {
			if i.decode(code[:n]) && i.n > n {
				t.Errorf("%s: %s: cut to %d bytes it is taken for %d", fields[0], fields[2], n, i.n)
			}
		}
	}
	for k := isaCPUID; k < isaCount; k++ {
		if seen[isaNames[k]] == 0 {
			t.Errorf("no sample of %s", isaNames[k])
		}
	}
}

func TestPlainSSEIsToldFromTheRest(t *testing.T) {
	for text, want := range map[string]isa{"0f28c8": isaSSE, "f20f58c1": isaSSE, "660fefc0": isaSSE, "0fefc0": isaBase, "0f1f00": isaBase, "f30f1efa": isaBase} {
		code, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		var i instruction
		if !i.decode(code) || i.isa() != want {
			t.Errorf("%s: got %s, want %s", text, isaNames[i.isa()], isaNames[want])
		}
	}
}

func FuzzInstruction(f *testing.F) {
	f.Add([]byte{0x62, 0xf1, 0x7c, 0x48, 0x28, 0xc8})
	f.Add([]byte{0xc4, 0xe2, 0x7d, 0x13, 0xc8})
	f.Fuzz(func(t *testing.T, b []byte) {
		var i instruction
		for len(b) > 0 && i.decode(b) {
			if i.n <= 0 || i.n > maxInstruction || i.n > len(b) {
				t.Fatalf("% x: an instruction of %d bytes", b, i.n)
			}
			if i.isa() >= isaCount {
				t.Fatalf("% x: no such extension", b)
			}
			b = b[i.n:]
		}
	})
}

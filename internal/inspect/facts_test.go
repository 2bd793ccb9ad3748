package inspect_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
)

var update = flag.Bool("update", false, "write the golden files anew")

// samples are the files of testdata, all but its README and golden files.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, e := range entries {
		if e.IsDir() || strings.HasSuffix(e.Name(), ".md") || strings.HasSuffix(e.Name(), ".golden") {
			continue
		}
		b, err := os.ReadFile(filepath.Join("testdata", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = b
	}
	if len(all) < 10 {
		t.Fatalf("only %d samples in testdata", len(all))
	}
	return all
}

func read(t testing.TB, b []byte) facts.File {
	t.Helper()
	f, err := inspect.Reader(bytes.NewReader(b), int64(len(b)), "file")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); -update writes it anew:\n%s", path, diff)
	}
}

func TestTheReportAboutAllSamplesIsTheGoldenOne(t *testing.T) {
	report := facts.Report{Schema: inspect.Schema}
	all, err := inspect.Dir("testdata", inspect.CPU, inspect.Kernels)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all.Files {
		if f.ELF != nil || f.Device != nil {
			f.Problems = inspect.Problems(f)
			report.Files = append(report.Files, f)
		}
	}
	b, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", append(b, '\n'))
	var text bytes.Buffer
	if err := inspect.Table(&text, report); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", text.Bytes())
}

// What ptxas, fatbinary and cuobjdump -all say of the samples, by hand.
func TestImagesOfSamples(t *testing.T) {
	all := samples(t)
	for name, want := range map[string]string{
		"11.8.89.fatbin":            "sm_80 SASS, compute_35 PTX (ISA 7.2)",
		"12.4.131.fatbin":           "sm_80 SASS, sm_90a SASS, compute_50 PTX (ISA 7.2), compute_90a PTX (ISA 8.0)",
		"12.5.40compressall.fatbin": "sm_80 SASS, sm_90a SASS, compute_50 PTX (ISA 7.2), compute_90a PTX (ISA 8.0)",
		"12.4.131-zlib.fatbin":      "sm_80 SASS",
		"12.4.131-lz4-frame.fatbin": "sm_80 SASS",
		"12.4.131-zstd.fatbin":      "sm_80 SASS",
		"13.0.88-75-size.fatbin":    "sm_75 SASS, compute_75 PTX (ISA 9.0)",
		"13.0.88-75-plain.fatbin":   "sm_75 SASS, compute_75 PTX (ISA 9.0)",
		"13.0.88-90a-size.fatbin":   "sm_90a SASS, compute_90a PTX (ISA 9.0)",
		"13.0.88-100f-size.fatbin":  "sm_100f SASS, compute_100f PTX (ISA 9.0)",
		"13.0.88-121a-size.fatbin":  "sm_121a SASS, compute_121a PTX (ISA 9.0)",
		"11.8.89-35.cubin":          "sm_35 SASS",
		"12.5.40-80.cubin":          "sm_80 SASS",
		"12.5.40-90a.cubin":         "sm_90a SASS",
		"a.o":                       "sm_75 SASS",
	} {
		f := read(t, all[name])
		if f.Device == nil || f.Device.Units != 1 || len(f.Device.Groups) != 1 || f.Device.Groups[0].Empty {
			t.Errorf("%s: want one unit that defines a kernel, got %+v", name, f.Device)
			continue
		}
		if got := inspect.Images(f.Device.Groups[0].Images); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
		if want := toolkitOf(name); f.Device.Toolkit != want {
			t.Errorf("%s: toolkit %q, want %q", name, f.Device.Toolkit, want)
		}
	}
}

func toolkitOf(name string) string {
	if strings.HasPrefix(name, "12.4.131-") {
		return "12.5" // fatbinary of 12.4 around a cubin of 12.5: the cubin counts
	}
	if name == "a.o" {
		return "11.8"
	}
	v, _, _ := strings.Cut(name, "-")
	parts := strings.Split(v, ".")
	return parts[0] + "." + parts[1]
}

func TestTheStubOfTheDeviceLinkerIsNoUnit(t *testing.T) {
	for name, units := range map[string]int{"mix.so": 2, "nopie": 3} {
		d := read(t, samples(t)[name]).Device
		if d.Units != units || d.Ignored == nil || d.Ignored.Stub != 1 || inspect.Images(d.Ignored.Images) != "sm_75 SASS" {
			t.Errorf("%s: %d units and ignored %+v, want %d units and one stub with a lone sm_75 cubin", name, d.Units, d.Ignored, units)
		}
		if len(d.Groups) != 2 {
			t.Errorf("%s: %d groups, want one with kernels and one without", name, len(d.Groups))
		}
		for _, g := range d.Groups {
			if want := units - 1; g.Empty && g.Units != want {
				t.Errorf("%s: %d empty units, want %d", name, g.Units, want)
			}
		}
	}
}

func TestRelocatableCodeIsALinkedImageAndItsInputs(t *testing.T) {
	d := read(t, samples(t)["rdc.so"]).Device
	if d.Units != 1 || len(d.Groups) != 1 || !d.Groups[0].Linked || inspect.Images(d.Groups[0].Images) != "sm_75 SASS" {
		t.Errorf("got %+v, want one linked image", d.Groups)
	}
	inputs := 0
	for _, g := range d.Relocatable {
		inputs += g.Units
	}
	if inputs != 3 || d.Ignored != nil {
		t.Errorf("%d inputs, ignored %+v; want 3 inputs, none ignored", inputs, d.Ignored)
	}
	o := read(t, samples(t)["r1.o"]).Device
	if o.Units != 0 || o.Ignored == nil || o.Ignored.Relocatable != 1 || len(o.Relocatable) != 1 {
		t.Errorf("r1.o: got %+v, want one input and no unit", o)
	}
}

// The driver obeys the text's .version. fatbinary stores it uncompressed with
// --no-compress, so that it can be changed in place.
func TestThePTXTextsVersionCounts(t *testing.T) {
	b := samples(t)["13.0.88-75-plain.fatbin"]
	if !bytes.Contains(b, []byte(".version 9.0")) {
		t.Fatal("the sample lost its stored PTX")
	}
	newer := read(t, bytes.Replace(b, []byte(".version 9.0"), []byte(".version 9.9"), 1))
	if p := newer.Device.Groups[0].Images[1]; p.ISA != "9.9" || p.ISAHeader != "9.0" {
		t.Errorf("text 9.9 and header 9.0 gave ISA %s, header %s", p.ISA, p.ISAHeader)
	}
	without := read(t, bytes.Replace(b, []byte(".version 9.0"), []byte("            "), 1))
	if p := without.Device.Groups[0].Images[1]; p.ISA != "9.0" {
		t.Errorf("a text without a version and header 9.0 gave ISA %q", p.ISA)
	}
}

func TestWhatTheFileContradictsIsListedAsUnknown(t *testing.T) {
	b := bytes.Clone(samples(t)["13.0.88-75-plain.fatbin"])
	b[16+28] = 80    // the first entry's SM
	b[16+43] |= 0x80 // and a flag nobody knows
	f := read(t, b)
	want := []facts.Unknown{{What: "cubin of sm_75 in an entry marked sm_80", Units: 1}, {What: "entry flag 0x80000000", Units: 1}}
	if diff := cmp.Diff(want, f.Device.Unknown); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
}

func TestAnEntryOfAnUnknownKindIsNotCalledEmpty(t *testing.T) {
	b := bytes.Clone(samples(t)["12.4.131-zstd.fatbin"])
	b[16] = 32
	g := read(t, b).Device.Groups
	if len(g) != 1 || g[0].Empty || g[0].Images[0].Kind != "0x20" {
		t.Errorf("got %+v", g)
	}
}

func TestBareFatBinariesMayHoldSeveralContainers(t *testing.T) {
	all := samples(t)
	b := append(bytes.Clone(all["11.8.89.fatbin"]), make([]byte, 24)...)
	b = append(b, all["12.4.131.fatbin"]...)
	d := read(t, b).Device
	if d.Units != 2 || d.Toolkit != "mixed" || !slices.Equal(d.Toolkits, []string{"11.8", "12.4"}) {
		t.Errorf("got %d units of toolkit %q %v, want 2 of mixed ones, 11.8 and 12.4", d.Units, d.Toolkit, d.Toolkits)
	}
	if want := (facts.Target{SM: "80", Units: 2, Compression: "none"}); len(d.SASS) == 0 || d.SASS[0] != want {
		t.Errorf("got %+v, want first %+v", d.SASS, want)
	}
	empty := read(t, []byte("\x50\xed\x55\xba\x01\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00")).Device
	if empty.Units != 1 || !empty.Groups[0].Empty {
		t.Errorf("a container without entries gave %+v, want one empty unit", empty)
	}
}

func TestPTXFiles(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		empty bool
	}{
		"a kernel":                    {".visible .entry k()\n{\nret;\n}\n", false},
		"a device variable":           {".global .align 4 .u32 v;\n", false},
		"a constant variable":         {".visible .const .align 4 .u32 v = 7;\n", false},
		"an external variable":        {".extern .global .align 4 .u32 v;\n", true},
		"a function alone":            {".func f(.param .u64 .ptr .global .align 4 p)\n{\nld.global.u32 %r1, [%rd1];\nret;\n}\n", true},
		"a kernel in a comment":       {"/* .entry k() */ // .entry k()\n", true},
		"a kernel in a quotation":     {".file 1 \" .entry k\"\n", true},
		"external, then of its own":   {".extern .func g;\n.entry k(){}\n", false},
		"a kernel after a megabyte":   {strings.Repeat("// nothing to see\n", 60000) + ".entry k(){}\n", false},
		"a kernel after a long token": {".func f;" + strings.Repeat("x", 1000) + ";.entry k(){}\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := read(t, []byte("//\n// Generated\n//\n\n.version 8.4\n.target sm_90a, debug\n.address_size 64\n"+c.text)).Device
			if d == nil || d.Units != 1 || inspect.Images(d.Groups[0].Images) != "compute_90a PTX (ISA 8.4)" {
				t.Fatalf("got %+v", d)
			}
			if d.Groups[0].Empty != c.empty {
				t.Errorf("empty is %v, want %v", d.Groups[0].Empty, c.empty)
			}
		})
	}
}

func TestArchivesAreReadMemberByMember(t *testing.T) {
	all := samples(t)
	for name, b := range map[string][]byte{
		"GNU names": archive("//", []byte("a_very_long_member_name.o/\n"), "/0", all["a.o"], "r1.o/", all["r1.o"], "/", []byte("\x00\x00\x00\x00"), "note.txt/", []byte("hello")),
		"BSD names": archive("#1/12", append([]byte("long name.o\x00"), all["a.o"]...), "r1.o", all["r1.o"]),
	} {
		f := read(t, b)
		if f.ELF != nil || f.Device == nil || f.Device.Units != 1 || f.Device.Ignored.Relocatable != 1 {
			t.Errorf("%s: got %+v", name, f.Device)
		}
	}
	damaged := bytes.Clone(all["a.o"])
	copy(damaged[40:], "\xff\xff\xff\xff")
	b := archive("ok.o/", all["a.o"], "bad.o/", damaged)
	_, err := inspect.Reader(bytes.NewReader(b), int64(len(b)), "lib.a")
	var format *inspect.FormatError
	if !errors.As(err, &format) || format.File != "lib.a(bad.o)" {
		t.Errorf("got %v, want an error that names lib.a(bad.o)", err)
	}
	if _, err := inspect.Reader(strings.NewReader("!<thin>\nrest"), 12, "thin.a"); !errors.As(err, &format) {
		t.Errorf("a thin archive gave %v", err)
	}
}

// archive packs pairs of name and contents.
func archive(pairs ...any) []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for ; len(pairs) > 0; pairs = pairs[2:] {
		data := pairs[1].([]byte)
		header := []byte(strings.Repeat(" ", 58) + "`\n")
		copy(header, pairs[0].(string))
		copy(header[48:], itoa(len(data)))
		b.Write(header)
		b.Write(data)
		if len(data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestDirListsByPathAndDoesNotFollowLinks(t *testing.T) {
	dir := t.TempDir()
	all := samples(t)
	for name, b := range map[string][]byte{"b.so": all["mix.so"], "sub/a.cubin": all["12.5.40-80.cubin"], "LICENSE": []byte("text"), "empty": nil} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("b.so", filepath.Join(dir, "b.so.1")); err != nil {
		t.Fatal(err)
	}
	r, err := inspect.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.Files {
		line := f.Path
		if f.Link != "" {
			line += " -> " + f.Link
		}
		if f.Device != nil {
			line += " device"
		}
		got = append(got, line)
	}
	want := []string{"LICENSE", "b.so device", "b.so.1 -> b.so", "empty", "sub/a.cubin device"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestDirReportsTheGoodFilesBesideABadOne(t *testing.T) {
	dir := t.TempDir()
	all := samples(t)
	for name, b := range map[string][]byte{"bad.so": all["mix.so"][:9000], "good.so": all["mix.so"]} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := inspect.Dir(dir)
	var format *inspect.FormatError
	if !errors.As(err, &format) || format.File != "bad.so" || format.Hint() == "" {
		t.Errorf("got %v, want a FormatError about bad.so", err)
	}
	if len(r.Files) != 1 || r.Files[0].Path != "good.so" {
		t.Errorf("got %+v, want good.so alone", r.Files)
	}
}

func TestFileSaysWhatItCannotOpen(t *testing.T) {
	if _, err := inspect.File(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := inspect.File(t.TempDir()); err == nil {
		t.Error("a folder was read as a file")
	}
}

// countingReader counts what is read of it.
type countingReader struct {
	io.ReaderAt
	n int
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.n += n
	return n, err
}

// sparse is a file of zeros with a few bytes at its start.
type sparse struct {
	head []byte
	size int64
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(s.head)) {
		copy(p, s.head[off:])
	}
	if off+int64(len(p)) > s.size {
		return int(max(0, s.size-off)), io.EOF
	}
	return len(p), nil
}

func TestPayloadsAreNotReadWhole(t *testing.T) {
	const payload = 1 << 30
	b := bytes.Clone(samples(t)["13.0.88-75-plain.fatbin"])
	// Cut after the cubin, and let that claim to be a gigabyte.
	b = b[:16+64+3112]
	put := func(off int, v uint64) {
		for i := range 8 {
			b[off+i] = byte(v >> (8 * i))
		}
	}
	put(8, 64+payload)
	put(16+8, payload)
	c := &countingReader{ReaderAt: sparse{head: b, size: 16 + 64 + payload}}
	f, err := inspect.Reader(c, 16+64+payload, "big.fatbin")
	if err != nil {
		t.Fatal(err)
	}
	if f.Device.Units != 1 || f.Device.Groups[0].Empty {
		t.Errorf("got %+v", f.Device)
	}
	if c.n > 1<<20 {
		t.Errorf("%d bytes were read of a file whose headers tell all", c.n)
	}
}

// readAs reads b as a file of that name.
func readAs(t *testing.T, b []byte, name string) facts.File {
	t.Helper()
	f, err := inspect.Reader(bytes.NewReader(b), int64(len(b)), name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAPipeIsNotWaitedFor(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := inspect.File(pipe)
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for somebody to write into the pipe")
	}
}

func TestATargetMayBeWrittenInSeveralWays(t *testing.T) {
	for target, want := range map[string]string{"compute_75": "75", "compute_90a, debug": "90a", "sm_75,debug": "75", "sm_75 , texmode_independent": "75"} {
		d := read(t, []byte(".version 8.4\n.target "+target+"\n.address_size 64\n.visible .entry k(){}\n")).Device
		if got := d.PTX[0].SM; got != want {
			t.Errorf(".target %s was read as %q, want %q", target, got, want)
		}
	}
}

package inspect_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
)

// object is an ELF file with these containers and a wrapper for each.
func object(soname, node string, containers ...[]byte) []byte {
	versions := make([]uint32, len(containers))
	for i := range versions {
		versions[i] = 1
	}
	b := wrapped(containers, versions)
	b.soname, b.node = soname, node
	// What lies in front of the containers moved them: point the wrappers anew.
	file := b.build()
	var wrappers []byte
	from := 0
	for _, c := range containers {
		from += bytes.Index(file[from:], c)
		wrappers = le(wrappers, uint32(0x466243b1), uint32(1), uint64(from), uint64(0))
		from += len(c)
	}
	for i := range b.sections {
		if b.sections[i].name == ".nvFatBinSegment" {
			b.sections[i].data = wrappers
		}
	}
	return b.build()
}

// container puts whole entries behind a header.
func container(entries ...[]byte) []byte {
	body := bytes.Join(entries, nil)
	return append(le(nil, uint32(0xba55ed50), uint16(1), uint16(16), uint64(len(body))), body...)
}

// entries cuts a bare fat binary of one container into its entries.
func entries(t testing.TB, sample string) [][]byte {
	t.Helper()
	b := samples(t)[sample][16:]
	var list [][]byte
	for len(b) >= 64 {
		n := number(b[4:8]) + number(b[8:16])
		list, b = append(list, b[:n]), b[n:]
	}
	return list
}

func number(b []byte) int {
	n := 0
	for i := len(b) - 1; i >= 0; i-- {
		n = n<<8 | int(b[i])
	}
	return n
}

// tableOf is a table made of an archive with these units, one to a member.
func tableOf(t testing.TB, units ...[]byte) string {
	t.Helper()
	var members []any
	for _, u := range units {
		members = append(members, "unit.o/", object("", "", u))
	}
	path := filepath.Join(t.TempDir(), "libtest_static.a")
	if err := os.WriteFile(path, archive(members...), 0o644); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := inspect.MakeTable(&b, []inspect.TableSource{{Of: "cublas-1.2.3", Origin: "test libtest_static.a", Path: path}}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func readWith(t testing.TB, table string, b []byte) *facts.Device {
	t.Helper()
	f, err := inspect.ReaderWith(table, bytes.NewReader(b), int64(len(b)), "file")
	if err != nil {
		t.Fatal(err)
	}
	return f.Device
}

func owners(d *facts.Device) string {
	var list []string
	for _, g := range d.Groups {
		s := g.Owner
		if g.Empty {
			s += " empty"
		}
		if g.Pruned {
			s += " pruned"
		}
		list = append(list, strings.TrimSpace(s))
	}
	return strings.Join(list, ", ")
}

func TestWhoseUnitsAre(t *testing.T) {
	theirs := entries(t, "12.4.131.fatbin") // SASS 80 and 90a, PTX 50 and 90a
	two := entries(t, "11.8.89.fatbin")
	ours := entries(t, "13.0.88-75-plain.fatbin")
	table := tableOf(t, container(theirs...), container(two...))
	changed := bytes.Clone(theirs[0])
	changed[len(changed)-100] ^= 1
	whole, second, own := container(theirs...), container(two...), container(ours...)
	bare := container()
	for name, c := range map[string]struct {
		soname, node string
		units        [][]byte
		owners, by   string
	}{
		"our own":                           {"", "", [][]byte{own}, "own", ""},
		"theirs in their library":           {"libcublas.so.12", "libcublas.so.12", [][]byte{whole, second}, "nvidia, nvidia", "digest"},
		"theirs without a name or node":     {"", "", [][]byte{whole}, "nvidia", "digest"},
		"theirs linked into ours":           {"libggml-cuda.so", "", [][]byte{own, whole}, "nvidia, own", "digest"},
		"theirs without one image":          {"", "", [][]byte{container(theirs[1:]...)}, "nvidia pruned", "digest"},
		"theirs and an image of two units":  {"", "", [][]byte{container(theirs[0], two[0])}, "nvidia pruned", "digest"},
		"theirs pruned to nothing":          {"", "", [][]byte{whole, bare}, "nvidia, empty", "digest"},
		"theirs and ours in one unit":       {"", "", [][]byte{container(theirs[0], ours[0])}, "mixed", ""},
		"theirs with one bit changed":       {"", "", [][]byte{container(changed)}, "own", ""},
		"another toolkit's, with its node":  {"libcublas.so.13", "libcublas.so.13", [][]byte{own}, "nvidia", "soname"},
		"another one's with a node of less": {"libcublas.so.13", "libcublas.so.1", [][]byte{own}, "unknown", "soname"},
		"another one's without a node":      {"libcublas.so.13", "", [][]byte{own}, "unknown", "soname"},
		"another one's with an empty unit":  {"libnppif.so.12", "libnppif.so.12", [][]byte{own, bare}, "unknown, empty", "soname"},
		"half known, with its node":         {"libcublasLt.so.12", "libcublasLt.so.12", [][]byte{whole, own}, "nvidia, nvidia", "soname"},
		"a name much like theirs":           {"libcublasx.so", "libcublasx.so", [][]byte{own}, "own", ""},
	} {
		d := readWith(t, table, object(c.soname, c.node, c.units...))
		by := ""
		if d.NVIDIA != nil {
			by = d.NVIDIA.By
		}
		if got := owners(d); got != c.owners || by != c.by {
			t.Errorf("%s: %q by %q, want %q by %q", name, got, by, c.owners, c.by)
		}
		if by == "digest" && cmp.Diff(d.NVIDIA.Of, []string{"cublas-1.2.3"}) != "" {
			t.Errorf("%s: of %v", name, d.NVIDIA.Of)
		}
	}
}

// The digest of a group's image is a sum over its units: however units are
// divided among groups, what is chosen of them adds up to the same.
func TestDigestsOfImagesAddUp(t *testing.T) {
	a, b := entries(t, "12.4.131.fatbin"), entries(t, "11.8.89.fatbin")
	sm80 := [][]byte{a[0], b[0]}
	table := tableOf(t, container(a...), container(b...))
	digest := func(d *facts.Device, group int) string {
		for _, i := range d.Groups[group].Images {
			if i.SM == "80" && i.Kind == facts.KindSASS {
				return i.Digest
			}
		}
		t.Fatalf("no image for sm_80 in %+v", d.Groups[group])
		return ""
	}
	first := digest(readWith(t, table, object("", "", container(a...))), 0)
	second := digest(readWith(t, table, object("", "", container(b...))), 0)
	// Without the other images both units have the same set and share a group.
	both := readWith(t, table, object("", "", container(sm80[0]), container(sm80[1])))
	if len(both.Groups) != 1 || both.Groups[0].Units != 2 {
		t.Fatalf("got %+v, want one group of two units", both.Groups)
	}
	if sum := add(t, first, second); sum != digest(both, 0) || first == second {
		t.Errorf("%s and %s add up to %s, the group has %s", first, second, sum, digest(both, 0))
	}
	swapped := readWith(t, table, object("", "", container(sm80[1]), container(sm80[0])))
	if digest(swapped, 0) != digest(both, 0) {
		t.Error("the order of units changes the digest")
	}
}

// add adds two numbers of 32 hexadecimal digits.
func add(t *testing.T, a, b string) string {
	t.Helper()
	out := make([]byte, 32)
	carry := 0
	const digits = "0123456789abcdef"
	for i := 31; i >= 0; i-- {
		n := strings.IndexByte(digits, a[i]) + strings.IndexByte(digits, b[i]) + carry
		out[i], carry = digits[n&15], n>>4
	}
	return string(out)
}

func TestTheTableSaysWhatItWasMadeOf(t *testing.T) {
	text, _, _ := strings.Cut(inspect.EmbeddedTable(), "\n\n")
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[0] != "nvidia-images 1" {
		t.Fatalf("got %q", lines)
	}
	for i, want := range []struct{ of, library string }{{"cublas-11.11.3.6", "libcublas_static.a"}, {"cublas-11.11.3.6", "libcublasLt_static.a"},
		{"cublas-12.4.5.8", "libcublas_static.a"}, {"cublas-12.4.5.8", "libcublasLt_static.a"}} {
		if l := lines[i+1]; !strings.HasPrefix(l, want.of+" nvidia-cuda-dev_") || !strings.Contains(l, want.library+" sha256:") {
			t.Errorf("line %d: %q", i+1, l)
		}
	}
	// Nothing of ours is in it.
	for name, b := range samples(t) {
		if d := read(t, b).Device; d != nil && d.NVIDIA != nil {
			t.Errorf("%s: %+v", name, d.NVIDIA)
		}
	}
}

func TestATableThatIsCutIsRefused(t *testing.T) {
	table := tableOf(t, container(entries(t, "11.8.89.fatbin")...))
	for _, cut := range []string{"", "nvidia-images 2\n\n\x00\x00\x00\x00\x00\x00\x00\x00", table[:len(table)-1], table[:len(table)-9]} {
		if _, err := inspect.ReaderWith(cut, strings.NewReader(""), 0, "file"); err == nil {
			t.Errorf("a table of %d bytes was taken", len(cut))
		}
	}
}

// countingReader counts payload bytes: what the table cannot hold is not hashed.
func TestOnlyImagesOfAKnownSizeAreHashed(t *testing.T) {
	ours := container(entries(t, "13.0.88-75-plain.fatbin")[0])
	for want, table := range map[bool]string{true: tableOf(t, ours), false: inspect.EmbeddedTable()} {
		c := &countingReader{ReaderAt: bytes.NewReader(ours)}
		if _, err := inspect.ReaderWith(table, c, int64(len(ours)), "file"); err != nil {
			t.Fatal(err)
		}
		// Read are the start of the file, the headers and a head of the cubin,
		// which is nearly all of it; hashing reads it again.
		if hashed := c.n > 5*len(ours)/2; hashed != want {
			t.Errorf("%d bytes read of %d: hashed is %v, want %v", c.n, len(ours), hashed, want)
		}
	}
}

package inspect_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// A driver chooses among entries by the SM in their headers, and obeys the text
// for the rest: so it was seen to do with docs/proof/oracle.txt's header-* programs.
func TestWhatAnEntryHoldsIsSaidWhereItsHeaderSaysOtherwise(t *testing.T) {
	mark := func(e []byte, sm uint32, flags uint64) []byte {
		e = bytes.Clone(e)
		binary.LittleEndian.PutUint32(e[28:], sm)
		binary.LittleEndian.PutUint64(e[40:], binary.LittleEndian.Uint64(e[40:])&^0x300000|flags)
		return e
	}
	var cubin []byte
	for _, e := range entries(t, "12.4.131.fatbin") {
		if number(e[:2]) == 2 && number(e[28:32]) == 80 {
			cubin = e
		}
	}
	text := func(target string, marked uint32, flags uint64) []byte {
		return mark(fatEntry(1, marked, 0, []byte(".version 8.4\n.target "+target+"\n.address_size 64\n.entry k() {}\n\x00"), 0), marked, flags)
	}
	for name, c := range map[string]struct {
		entry []byte
		want  facts.Image
	}{
		"machine code as it is marked":          {cubin, facts.Image{SM: "80"}},
		"machine code marked for another":       {mark(cubin, 90, 0), facts.Image{SM: "90", Holds: "80"}},
		"machine code marked with a suffix":     {mark(cubin, 80, 0x200000), facts.Image{SM: "80f"}},
		"PTX as it is marked":                   {text("sm_75", 75, 0), facts.Image{SM: "75"}},
		"PTX marked higher":                     {text("sm_75", 80, 0), facts.Image{SM: "80", Holds: "75"}},
		"PTX marked lower":                      {text("sm_100a", 90, 0), facts.Image{SM: "90a", Holds: "100a"}},
		"PTX marked with a suffix it has not":   {text("sm_75", 75, 0x100000), facts.Image{SM: "75"}},
		"PTX marked with a family it is not of": {text("sm_75", 75, 0x200000), facts.Image{SM: "75f"}},
		"PTX with a suffix that is not marked":  {text("sm_90a, texmode_independent", 90, 0), facts.Image{SM: "90a"}},
		"PTX whose target is no number":         {text("sm_x", 75, 0), facts.Image{SM: "75"}},
	} {
		got := read(t, container(c.entry)).Device.Groups[0].Images
		if len(got) != 1 || got[0].SM != c.want.SM || got[0].Holds != c.want.Holds {
			t.Errorf("%s: %+v, want SM %q that holds %q", name, got, c.want.SM, c.want.Holds)
		}
	}
}

func TestOfSeveralImagesForOneTargetTheFilesOrderIsKept(t *testing.T) {
	text := func(isa string) []byte {
		return fatEntry(1, 80, 0, []byte(".version "+isa+"\n.target sm_80\n.address_size 64\n.entry k() {}\n\x00"), 0)
	}
	for _, order := range []string{"9.9 8.4", "8.4 9.9", "8.4 9.9 8.4"} {
		var list [][]byte
		for _, isa := range strings.Fields(order) {
			list = append(list, text(isa))
		}
		var got []string
		for _, i := range read(t, container(list...)).Device.Groups[0].Images {
			got = append(got, i.ISA)
		}
		if diff := cmp.Diff(order, strings.Join(got, " ")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestAZlibStreamThatFillsItsEntryIsSaid(t *testing.T) {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write([]byte(".version 8.4\n.target sm_80\n.address_size 64\n.entry k() {}\n\x00"))
	w.Close()
	for pad, want := range map[int]bool{0: true, 1: false, 7: false} {
		for _, told := range []int{0, b.Len()} { // as 11.8 writes it, as 12.4 does
			e := fatEntry(1, 80, 0, append(bytes.Clone(b.Bytes()), make([]byte, pad)...), 0)[:64+b.Len()+pad]
			binary.LittleEndian.PutUint64(e[8:], uint64(b.Len()+pad))
			binary.LittleEndian.PutUint32(e[16:], uint32(told))
			binary.LittleEndian.PutUint64(e[40:], 0x1000)
			if got := read(t, container(e)).Device.Groups[0].Images[0].Unpadded; got != want {
				t.Errorf("%d bytes of padding, length %d told: unpadded %v", pad, told, got)
			}
		}
	}
}

package compat

import (
	"testing"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// A driver chooses by the entry's header and does not look further: a fitting
// image beside a bad one is not taken. Seen on an H100, see docs/proof/oracle.txt.
func TestAnImageThatIsNotWhatItsEntrySaysIsChosenAndFails(t *testing.T) {
	sass := func(sm, holds string) facts.Image {
		return facts.Image{Kind: facts.KindSASS, SM: sm, Compression: "none", Holds: holds}
	}
	ptx := func(sm, isa, holds string) facts.Image {
		return facts.Image{Kind: facts.KindPTX, SM: sm, ISA: isa, Compression: "none", Holds: holds}
	}
	zlib := func(unpadded bool) facts.Image {
		return facts.Image{Kind: facts.KindPTX, SM: "80", ISA: "7.8", Compression: "zlib", Unpadded: unpadded}
	}
	for name, c := range map[string]struct {
		images  []facts.Image
		verdict string
		code    int
	}{
		"machine code of another SM":                    {[]facts.Image{sass("90", "80")}, facts.VerdictRefused, 300},
		"the same, with good PTX":                       {[]facts.Image{sass("90", "80"), ptx("80", "8.4", "")}, facts.VerdictRefused, 300},
		"the same, behind good machine code":            {[]facts.Image{sass("90", ""), sass("90", "80")}, facts.VerdictNative, 0},
		"PTX for a lower target than marked":            {[]facts.Image{ptx("80", "8.4", "75")}, facts.VerdictJIT, 0},
		"PTX for a higher target than the GPU":          {[]facts.Image{ptx("90", "9.0", "100")}, facts.VerdictRefused, 218},
		"machine code with a suffix that is no target":  {[]facts.Image{sass("90f", "")}, facts.VerdictRefused, 209},
		"zlib with a byte to spare":                     {[]facts.Image{zlib(false)}, facts.VerdictJIT, 0},
		"zlib without":                                  {[]facts.Image{zlib(true)}, facts.VerdictRefused, 999},
		"two texts for one target, the good one first":  {[]facts.Image{ptx("80", "8.4", ""), ptx("80", "9.9", "")}, facts.VerdictJIT, 0},
		"two texts for one target, the good one second": {[]facts.Image{ptx("80", "9.9", ""), ptx("80", "8.4", "")}, facts.VerdictRefused, 222},
	} {
		f := cudaFile("13.0", facts.Group{Units: 1, Owner: facts.OwnerOwn, Images: c.images})
		h := codeAlone(hostWith("580.159.04", "9.0"))
		if got := judgeFile(f, h); got.Verdict != c.verdict || firstError(got) != c.code {
			t.Errorf("%s: %s %d, want %s %d", name, got.Verdict, firstError(got), c.verdict, c.code)
		}
		// What a manifest publishes says the same.
		part := ForFiles(f.Path, []facts.File{f})
		part.App.Files = nil
		if got := Judge(part, h); got.Verdict != c.verdict || firstError(got) != c.code {
			t.Errorf("%s, by its floors: %s %d, want %s %d", name, got.Verdict, firstError(got), c.verdict, c.code)
		}
	}
}

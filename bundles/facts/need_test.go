package facts_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
)

func TestEveryLibraryThatAFileNeedsHasAProvider(t *testing.T) {
	folder := facts.FolderOf([]facts.File{
		{Path: "bin/llama-server"}, {Path: "lib/libggml.so.0", ELF: &facts.ELF{Soname: "libggml.so.0"}}, {Path: "lib/liba.so.1.2", ELF: &facts.ELF{Soname: "liba.so.1"}},
		{Path: "bin/libb.so"}, {Path: "lib/libc.so.6"}, {Path: "lib/libcudart.so.12"}})
	for name, c := range map[string]struct {
		needed  string
		runpath []string
		want    facts.LibraryNeed
	}{
		"beside the file":                       {"libb.so", []string{"$ORIGIN"}, facts.LibraryNeed{By: facts.ByBundle, File: "bin/libb.so"}},
		"beside the file, nobody looks there":   {"libb.so", nil, facts.LibraryNeed{By: facts.ByBundle, File: "bin/libb.so", Unreached: true}},
		"in a folder nearby":                    {"libggml.so.0", []string{"/opt", "${ORIGIN}/../lib"}, facts.LibraryNeed{By: facts.ByBundle, File: "lib/libggml.so.0"}},
		"only the SONAME":                       {"liba.so.1", []string{"$ORIGIN/../lib"}, facts.LibraryNeed{By: facts.ByBundle, File: "lib/liba.so.1.2", Unreached: true}},
		"a folder whose name begins alike":      {"libb.so", []string{"$ORIGINAL"}, facts.LibraryNeed{By: facts.ByBundle, File: "bin/libb.so", Unreached: true}},
		"CUDA's, here where nobody looks":       {"libcudart.so.12", []string{"$ORIGIN"}, facts.LibraryNeed{By: facts.ByBundle, File: "lib/libcudart.so.12", Unreached: true}},
		"CUDA's":                                {"libcublasLt.so.12", nil, facts.LibraryNeed{By: facts.ByCUDA}},
		"libc, a copy of which is out of reach": {"libc.so.6", nil, facts.LibraryNeed{By: facts.ByLibc}},
		"the driver's":                          {"libnvidia-ml.so.1", nil, facts.LibraryNeed{By: facts.ByDriver}},
		"the driver itself":                     {"libcuda.so.1", nil, facts.LibraryNeed{By: facts.ByDriver}},
		"the C++ runtime":                       {"libstdc++.so.6", nil, facts.LibraryNeed{By: facts.ByCXX}},
		"nobody's":                              {"libgomp.so.1", nil, facts.LibraryNeed{By: facts.ByNobody}},
		"a name without a version":              {"libcublas", nil, facts.LibraryNeed{By: facts.ByNobody}},
	} {
		c.want.Soname = c.needed
		got := facts.NeedsOf(facts.File{Path: "bin/llama-server", ELF: &facts.ELF{Needed: []string{c.needed}, Runpath: c.runpath}}, folder)
		if diff := cmp.Diff([]facts.LibraryNeed{c.want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

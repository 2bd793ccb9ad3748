package host

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type cacheEntry struct {
	flags      uint32
	name, file string
}

// newCache writes a loader cache as ldconfig does.
func newCache(entries []cacheEntry) []byte {
	head := append([]byte(cacheMagicNew), make([]byte, cacheHeadNew-len(cacheMagicNew))...)
	binary.LittleEndian.PutUint32(head[20:], uint32(len(entries)))
	base := cacheHeadNew + len(entries)*cacheEntryNew
	var words []byte
	for _, e := range entries {
		var b [cacheEntryNew]byte
		binary.LittleEndian.PutUint32(b[0:], e.flags)
		binary.LittleEndian.PutUint32(b[4:], uint32(base+len(words)))
		words = append(append(words, e.name...), 0)
		binary.LittleEndian.PutUint32(b[8:], uint32(base+len(words)))
		words = append(append(words, e.file...), 0)
		head = append(head, b[:]...)
	}
	return append(head, words...)
}

// withOld puts the form of glibc before 2.32 in front: one old entry, padded.
func withOld(cache []byte) []byte {
	old := append([]byte(cacheMagicOld), 1, 0, 0, 0)
	old = append(old, make([]byte, cacheEntryOld)...)
	for len(old)%8 != 0 {
		old = append(old, 0)
	}
	return append(old, cache...)
}

var sampleCache = []cacheEntry{
	{cacheLibc6 | cacheX8664, "libcuda.so.1", "/usr/lib64/libcuda.so.1"},
	{cacheLibc6, "libcuda.so.1", "/usr/lib/libcuda.so.1"}, // 32 bits
	{cacheLibc6 | cacheX8664, "libcublas.so.12", "/opt/a/libcublas.so.12"},
	{cacheLibc6 | cacheX8664, "libcublas.so.12", "/opt/b/libcublas.so.12"},
}

func TestLoaderCacheInBothForms(t *testing.T) {
	want := map[string][]string{"libcuda.so.1": {"/usr/lib64/libcuda.so.1"}, "libcublas.so.12": {"/opt/a/libcublas.so.12", "/opt/b/libcublas.so.12"}}
	for name, data := range map[string][]byte{"new": newCache(sampleCache), "old and new": withOld(newCache(sampleCache))} {
		got, err := parseCache(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestALibraryOfTheCacheIsFoundWithoutHelp(t *testing.T) {
	m := newMachine(t)
	m.put("/etc/ld.so.cache", string(newCache([]cacheEntry{
		{cacheLibc6 | cacheX8664, "libcuda.so.1", "/gone/libcuda.so.1"},
		{cacheLibc6 | cacheX8664, "libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1"},
	})))
	m.put("/usr/local/nvidia/lib64/libcuda.so.1", "")
	d := findDriver(tree{m.root}, newLoader(tree{m.root}, nil))
	if d.dir != "/usr/local/nvidia/lib64" || d.dirNeeded {
		t.Errorf("got %+v", d)
	}
}

func TestABrokenCacheIsAReason(t *testing.T) {
	m := newMachine(t)
	m.put("/etc/ld.so.cache", "garbage")
	if h := m.read(); h.Unknown["libs"] != errCache.Error() {
		t.Errorf("unknown %v", h.Unknown)
	}
}

func FuzzParseCache(f *testing.F) {
	f.Add(newCache(sampleCache))
	f.Add(withOld(newCache(sampleCache)))
	f.Add([]byte(cacheMagicNew))
	f.Add([]byte(cacheMagicOld + "\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		libs, err := parseCache(data)
		if err != nil && libs != nil {
			t.Fatal("a broken cache has libraries")
		}
	})
}

func FuzzParseSMI(f *testing.F) {
	f.Add("0, Tesla T4, GPU-1, 7.5, 15360, 00000000:00:04.0, [N/A]\n")
	f.Add("0, \"a, b\", , , -1, , Enabled\n")
	f.Add("Driver Version: 580.82.07  CUDA Version: 13.0")
	f.Fuzz(func(t *testing.T, text string) {
		parseSMIHeader(text)
		gpus, err := parseSMIList(text)
		if err != nil {
			return
		}
		for _, g := range gpus {
			if g.Memory < 0 || g.CC == "" && g.Unknown["cc"] == "" {
				t.Fatalf("%+v", g)
			}
		}
	})
}

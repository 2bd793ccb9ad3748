package host

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every library of this machine's loader: those of glibc and gcc define versions.
func TestVersionsAreThoseThatDebugELFReads(t *testing.T) {
	defining := 0
	for _, files := range newLoader(tree{}, nil).cache {
		for _, file := range files {
			f, err := elf.Open(file)
			if err != nil {
				continue // the cache may be older than the disk
			}
			var want []string
			if all, err := f.DynamicVersions(); err == nil { // an error where there are none
				for _, v := range all {
					want = append(want, v.Name)
				}
			}
			got, err := versionNames(f)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: got %q, %v, want %q", file, got, err, want)
			}
			if len(got) > 0 {
				defining++
			}
			f.Close()
		}
	}
	if defining == 0 {
		t.Error("no library of this machine defines a version")
	}
}

func FuzzVersionNames(f *testing.F) {
	dir := f.TempDir()
	versions := filepath.Join(dir, "map")
	if err := os.WriteFile(versions, []byte("V_1 { };\nV_2 { f; } V_1;\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	for _, args := range [][]string{nil, {"-Wl,--version-script=" + versions}} {
		lib := filepath.Join(dir, "lib.so")
		c := exec.CommandContext(f.Context(), "cc", append([]string{"-shared", "-nostdlib", "-fPIC", "-x", "c", "-", "-o", lib}, args...)...)
		c.Stdin = strings.NewReader("void f(void) {}")
		if out, err := c.CombinedOutput(); err != nil {
			f.Fatalf("cc: %v\n%s", err, out)
		}
		data, err := os.ReadFile(filepath.Clean(lib))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := elf.NewFile(bytes.NewReader(data))
		if err != nil {
			return
		}
		names, err := versionNames(file)
		if err != nil && names != nil {
			t.Fatal("what cannot be read has versions")
		}
		for _, name := range names {
			if !bytes.Contains(data, []byte(name)) && !compressed(file) {
				t.Fatalf("%q is not in the file", name)
			}
		}
	})
}

// compressed says that a section's bytes are not those of the file.
func compressed(f *elf.File) bool {
	return slices.ContainsFunc(f.Sections, func(s *elf.Section) bool { return s.Flags&elf.SHF_COMPRESSED != 0 })
}

package bundles

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
)

var update = flag.Bool("update", false, "write golden files anew")

// Digests of no file: only their form counts here.
var (
	appDigest   = "sha256:" + strings.Repeat("a1", 32)
	libDigest   = "sha256:" + strings.Repeat("b2", 32)
	treeDigest1 = "sha256:" + strings.Repeat("c3", 32)
)

func ptr[T any](v T) *T { return &v }

func fragment(id string) Fragment {
	return Fragment{
		Schema: facts.Schema,
		Bundle: Bundle{ID: id, Cell: id, Platform: "linux/amd64", Toolkit: "12.4.1",
			Image:  Image{Ref: "nvidia/cuda:12.4.1-devel-ubuntu20.04"},
			Source: Source{Ref: "b1", Fixture: true}, App: appDigest, Runtime: []string{RuntimeHost, libDigest}},
		Parts: map[string]Part{
			appDigest: {Kind: PartApp, Name: "llama-" + id + "-linux-amd64.tar.zst", Size: 10, Contents: treeDigest1, Unpacked: 20,
				Glibc: "2.28", CPU: "x86-64", Needs: []Need{{Soname: "libcublas.so.12", Min: "12.4"}},
				Floors: []facts.Floor{{CC: "7.5-7.x", Via: facts.ViaSASS, MinCUDA: ptr("12.0"), MinDriver: ptr("525.60.13"), Because: []string{"cudart-12"}, Sure: "doc"},
					{CC: "5.0-7.x", Via: facts.ViaNone, Lacking: &facts.Lacking{Units: 3, Of: 3}}}},
			libDigest: {Kind: PartRuntime, Form: "lean", Name: "cublas-12.4-sm75.tar.zst", Size: 30, Contents: treeDigest1,
				Provides: []Library{{Soname: "libcublas.so.12", Version: "12.4.5.8"}},
				Lean:     &Lean{Of: "cublas-12.4.5.8", Selected: map[string]Selected{"7.5": {Units: 385, Digest: libDigest}}}},
		},
	}
}

func sampleManifest(t testing.TB) *Manifest {
	t.Helper()
	m, err := Compose("v1", 7, "test", []Fragment{fragment("cuda12.4-sm75")})
	must(t, err)
	return m
}

func TestManifestHasOneForm(t *testing.T) {
	other := fragment("cuda12.4-all")
	app := other.Parts[appDigest]
	delete(other.Parts, appDigest)
	other.Bundle.App = "sha256:" + strings.Repeat("d4", 32)
	other.Parts[other.Bundle.App] = app
	m, err := Compose("v1", 7, "test <&>", []Fragment{fragment("cuda12.4-sm75"), other})
	must(t, err)
	got, err := m.Marshal()
	must(t, err)
	golden := filepath.Join("testdata", "manifest.golden.json")
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(golden, got, 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("manifest differs (run with -update if meant):\n%s", diff)
	}
	m.Bundles[0], m.Bundles[1] = m.Bundles[1], m.Bundles[0]
	if again, err := m.Marshal(); err != nil || string(again) != string(got) {
		t.Errorf("the order of bundles changes the bytes (%v)", err)
	}
	var back Manifest
	must(t, decode("manifest", got, &back))
	if again, err := back.Marshal(); err != nil || string(again) != string(got) {
		t.Errorf("read and written again it is another (%v)", err)
	}
}

func TestWrongManifestsAreNamedWrong(t *testing.T) {
	setPart := func(m *Manifest, key string, change func(*Part)) {
		p := m.Parts[key]
		change(&p)
		m.Parts[key] = p
	}
	for _, c := range []struct {
		name, says string
		change     func(m *Manifest)
	}{
		{"no bundles", "no bundles", func(m *Manifest) { m.Bundles = nil }},
		{"sequence zero", "sequence 0", func(m *Manifest) { m.Sequence = 0 }},
		{"tag with a slash", "release tag", func(m *Manifest) { m.Release = "a/b" }},
		{"tag that climbs", "release tag", func(m *Manifest) { m.Release = "v..1" }},
		{"tag that hides", "release tag", func(m *Manifest) { m.Release = ".v1" }},
		{"tag that is a file's name", "release tag", func(m *Manifest) { m.Release = "latest" }},
		{"bundle id twice", "appears twice", func(m *Manifest) { m.Bundles = append(m.Bundles, m.Bundles[0]) }},
		{"bundle id with a slash", "bundle id", func(m *Manifest) { m.Bundles[0].ID = "a/b" }},
		{"no platform", "platform", func(m *Manifest) { m.Bundles[0].Platform = "" }},
		{"toolkit that is no version", "toolkit", func(m *Manifest) { m.Bundles[0].Toolkit = "twelve" }},
		{"app that is not there", "is not in the manifest", func(m *Manifest) { m.Bundles[0].App = treeDigest1 }},
		{"app that is a runtime", "is a runtime", func(m *Manifest) { m.Bundles[0].App = libDigest }},
		{"runtime that is not there", "is not in the manifest", func(m *Manifest) { m.Bundles[0].Runtime = []string{treeDigest1} }},
		{"runtime that is an app", "is an app", func(m *Manifest) { m.Bundles[0].Runtime = []string{appDigest} }},
		{"runtime twice", "appears twice", func(m *Manifest) { m.Bundles[0].Runtime = []string{"host", "host"} }},
		{"key of another algorithm", "does not begin", func(m *Manifest) { m.Parts["md5:00"] = m.Parts[appDigest]; delete(m.Parts, appDigest) }},
		{"key in capitals", "64 lower-case", func(m *Manifest) { m.Parts["sha256:"+strings.Repeat("AB", 32)] = m.Parts[appDigest] }},
		{"part name that climbs", "part name", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Name = "../x" }) }},
		{"part name that hides", "part name", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Name = ".x" }) }},
		{"part named as the manifest", "file of a release", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Name = ManifestName }) }},
		{"two parts of one name", "has the name of part", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Name = m.Parts[libDigest].Name }) }},
		{"size zero", "size 0", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Size = 0 }) }},
		{"unknown kind", "kind", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Kind = "plugin" }) }},
		{"runtime without a form", "form", func(m *Manifest) { setPart(m, libDigest, func(p *Part) { p.Form = "" }) }},
		{"no contents digest", "contents", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Contents = "" }) }},
		{"earlier release that is this", "is this one", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Release = ptr("v1") }) }},
		{"earlier release that climbs", "earlier release", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Release = ptr("../v0") }) }},
		{"floor of nothing", "floor of", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Floors[0].CC = "sm_75" }) }},
		{"floor that ends before it begins", "ends before", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Floors[0].CC = "7.5-6.x" }) }},
		{"floor by an unknown way", "via", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Floors[0].Via = "magic" }) }},
		{"floor with half a driver", "driver version", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Floors[0].MinDriver = ptr("525") }) }},
		{"floor with a CUDA of three parts", "CUDA version", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Floors[0].MinCUDA = ptr("12.0.1") }) }},
		{"need without a name", "needs", func(m *Manifest) { setPart(m, appDigest, func(p *Part) { p.Needs[0].Soname = "" }) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := sampleManifest(t)
			must(t, m.Validate())
			c.change(m)
			if err := m.Validate(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Validate = %v, want a word of %q", err, c.says)
			}
		})
	}
}

func TestUnknownFieldsAreIgnoredAndUnknownSchemasAreNot(t *testing.T) {
	data, err := sampleManifest(t).Marshal()
	must(t, err)
	var m Manifest
	must(t, decode("manifest", []byte(strings.Replace(string(data), `"release"`, `"invented_later": {"x": [1]}, "release"`, 1)), &m))
	must(t, m.Validate())

	// A later schema may give any field another type.
	err = decode("manifest", []byte(`{"schema":2,"release":{"tag":"v9"},"parts":[]}`), &m)
	var s *SchemaError
	if !errors.As(err, &s) || !strings.Contains(err.Error(), "update llcuda-run") || s.ExitCode() != 4 {
		t.Errorf("schema 2: %v", err)
	}
	if err := decode("manifest", []byte(`{}`), &m); err == nil {
		t.Error("a document without a schema passes")
	}
}

func TestComposeNamesWhatDoesNotAgree(t *testing.T) {
	for _, c := range []struct {
		name, says string
		change     func(f *Fragment)
	}{
		{"same bundle twice", `bundle id "cuda12.4-sm75" appears twice`, func(f *Fragment) { f.Bundle.ID = "cuda12.4-sm75" }},
		{"same name, another part", "has the name of part", func(f *Fragment) {
			other := "sha256:" + strings.Repeat("d4", 32)
			f.Parts[other] = f.Parts[appDigest]
			delete(f.Parts, appDigest)
			f.Bundle.App = other
		}},
		{"same part, another size", "say different things", func(f *Fragment) {
			p := f.Parts[libDigest]
			p.Size++
			f.Parts[libDigest] = p
		}},
		{"fragment that does not stand", "size 0", func(f *Fragment) {
			p := f.Parts[libDigest]
			p.Size = 0
			f.Parts[libDigest] = p
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			second := fragment("cuda12.4-sm75")
			second.Bundle.ID = "cuda12.4-all"
			c.change(&second)
			if _, err := Compose("v1", 1, "test", []Fragment{fragment("cuda12.4-sm75"), second}); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Compose = %v, want a word of %q", err, c.says)
			}
		})
	}
	second := fragment("cuda12.4-sm75")
	second.Bundle.ID = "cuda12.4-all"
	m, err := Compose("v1", 1, "test", []Fragment{fragment("cuda12.4-sm75"), second})
	must(t, err)
	if len(m.Parts) != 2 || len(m.Bundles) != 2 || m.Bundles[0].ID != "cuda12.4-all" {
		t.Errorf("shared parts: %d parts, bundles %+v", len(m.Parts), m.Bundles)
	}
}

func TestFragmentSurvivesItsFile(t *testing.T) {
	dir := t.TempDir()
	for _, id := range []string{"cuda12.4-sm75", "cpu"} {
		path, err := WriteFragment(dir, fragment(id))
		must(t, err)
		if filepath.Base(path) != id+".bundle.json" {
			t.Errorf("written to %s", path)
		}
	}
	if _, err := WriteFragment(dir, fragment("cpu")); err != nil {
		t.Errorf("writing it again: %v", err)
	}
	got, err := ReadFragments(dir)
	must(t, err)
	if diff := cmp.Diff([]Fragment{fragment("cpu"), fragment("cuda12.4-sm75")}, got); diff != "" {
		t.Errorf("fragments differ:\n%s", diff)
	}
	files, err := os.ReadDir(dir)
	must(t, err)
	if len(files) != 2 {
		t.Errorf("strays in %v", files)
	}
	must(t, os.Rename(FragmentPath(dir, "cpu"), FragmentPath(dir, "gpu")))
	if _, err := ReadFragments(dir); err == nil || !strings.Contains(err.Error(), "cpu.bundle.json") {
		t.Errorf("a fragment under another's name: %v", err)
	}
	if _, err := ReadFragments(t.TempDir()); err == nil {
		t.Error("an empty folder has fragments")
	}
}

func TestSumsAreCoreutils(t *testing.T) {
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	got, err := MarshalSums([]Sum{{"z.tar.zst", a}, {"manifest.json", b}})
	must(t, err)
	if want := b + "  manifest.json\n" + a + "  z.tar.zst\n"; string(got) != want {
		t.Errorf("got %q", got)
	}
	back, err := ParseSums([]byte(a + " *x\n" + b + "  y with blanks\n"))
	must(t, err)
	if diff := cmp.Diff([]Sum{{"x", a}, {"y with blanks", b}}, back); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"x", a + "x", a + "  ", a + "  ../x\n", `\` + a + "  x\n", a + "  x\n" + a + "  x\n", strings.ToUpper(a) + "  x\n"} {
		if _, err := ParseSums([]byte(bad)); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func FuzzParseSums(f *testing.F) {
	f.Add([]byte(strings.Repeat("a", 64) + "  name\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		sums, err := ParseSums(data)
		if err != nil {
			return
		}
		text, err := MarshalSums(sums)
		if err != nil {
			t.Fatalf("parsed and can not be written: %v", err)
		}
		if again, err := ParseSums(text); err != nil || len(again) != len(sums) {
			t.Fatalf("%d sums became %d, %v", len(sums), len(again), err)
		}
	})
}

func FuzzDecodeManifest(f *testing.F) {
	data, err := sampleManifest(f).Marshal()
	must(f, err)
	f.Add(data)
	f.Add([]byte(`{"schema":1,"parts":{"":{}},"bundles":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m Manifest
		if decode("manifest", data, &m) != nil || m.Validate() != nil {
			return
		}
		once, err := m.Marshal()
		must(t, err)
		var back Manifest
		must(t, decode("manifest", once, &back))
		twice, err := back.Marshal()
		must(t, err)
		if string(once) != string(twice) || !json.Valid(once) {
			t.Error("a valid manifest has two forms")
		}
	})
}

package sbom_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/golden"
	"github.com/waqasm86/llcuda/internal/sbom"
)

const mit = "MIT License\n\nCopyright (c) 2023 us\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\nof this.\n\n" +
	"The above copyright notice and this permission notice shall be included in all\ncopies or substantial portions of the Software.\n"

// packed is a part made of files, and its fragment.
func packed(t *testing.T, files map[string]string, change func(*bundles.Bundle, *bundles.Part)) sbom.Input {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var part bytes.Buffer
	p, err := bundles.Pack(t.Context(), dir, &part, bundles.PackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b := bundles.Bundle{ID: "cuda11.8-sm75", Cell: "cuda11.8-sm75", Platform: "linux/amd64", Toolkit: "11.8.0", App: p.Digest,
		Image:  bundles.Image{Ref: "nvidia/cuda:11.8.0-devel-rockylinux8", Digest: "sha256:" + strings.Repeat("ab", 32), Tools: map[string]string{"nvcc": "11.8.89", "cmake": "3.26.5"}},
		Source: bundles.Source{URL: "https://github.com/ggml-org/llama.cpp", Ref: "v0.5.0", Commit: strings.Repeat("de3ff81", 6)[:40]}}
	app := bundles.Part{Kind: bundles.PartApp, Name: "cuda11.8-sm75-000000000000.tar.zst", Size: p.Size, Contents: p.Contents, Unpacked: p.Unpacked,
		Needs: []bundles.Need{{Soname: "libcublas.so.11", Min: "11.11"}, {Soname: "libcudart.so.11.0"}},
		Files: []facts.File{{Path: "libggml-cuda.so", ELF: &facts.ELF{},
			Device: &facts.Device{NVIDIA: &facts.NVIDIA{By: "table", Of: []string{"11.8"}}, Cudart: &facts.Cudart{Link: "static", Major: 11}}}}}
	if change != nil {
		change(&b, &app)
	}
	return sbom.Input{Tool: "test", Time: time.Unix(1758000000, 0),
		Fragment: bundles.Fragment{Schema: facts.Schema, Bundle: b, Parts: map[string]bundles.Part{p.Digest: app}},
		Open:     func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(part.Bytes())), nil }}
}

func whole(t *testing.T, in sbom.Input) ([]byte, *v2_3.Document) {
	t.Helper()
	data, err := sbom.Document(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := spdxjson.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return data, doc
}

var files = map[string]string{"llama-server": "#!/bin/sh\n", "libggml-cuda.so": "code", "LICENSES/llama.cpp.LICENSE": mit,
	"LICENSES/NVIDIA.EULA.txt": "terms", "LICENSES/http.LICENSE": "another"}

func TestTheWholeBill(t *testing.T) {
	data, _ := whole(t, packed(t, files, nil))
	golden.Check(t, "cuda11.8-sm75.spdx.json", data)
}

func TestTheSamePartMakesTheSameBytes(t *testing.T) {
	in := packed(t, files, nil)
	one, _ := whole(t, in)
	two, _ := whole(t, in)
	if !bytes.Equal(one, two) {
		t.Error("two bills of one part differ")
	}
	_, other := whole(t, packed(t, map[string]string{"llama-server": "another\n"}, nil))
	_, doc := whole(t, in)
	if doc.DocumentNamespace == other.DocumentNamespace {
		t.Error("two parts share a namespace")
	}
}

func TestTermsOfNVIDIAThatAreNotThereAreSaidToBeMissing(t *testing.T) {
	for name, c := range map[string]struct {
		files   map[string]string
		toolkit string
		want    string
	}{
		"a bundle with the text":        {files, "11.8.0", "see the texts LICENSES/NVIDIA.*"},
		"a bundle without":              {map[string]string{"llama-server": "x"}, "11.8.0", "not in this bundle"},
		"a bundle that needs no NVIDIA": {map[string]string{"llama-server": "x"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, doc := whole(t, packed(t, c.files, func(b *bundles.Bundle, _ *bundles.Part) { b.Toolkit = c.toolkit }))
			got := ""
			for _, l := range doc.OtherLicenses {
				if l.LicenseIdentifier == "LicenseRef-NVIDIA-CUDA-EULA" {
					got = l.ExtractedText
				}
			}
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("it says %q, want %q", got, c.want)
			}
		})
	}
}

func TestAPartThatCannotBeReadIsNoBill(t *testing.T) {
	in := packed(t, files, nil)
	other := packed(t, map[string]string{"llama-server": "another\n"}, nil)
	other.Fragment = in.Fragment
	if _, err := sbom.Document(t.Context(), other); err == nil || !strings.Contains(err.Error(), "the fragment says") {
		t.Errorf("a part that is not the fragment's: %v", err)
	}
	in.Open = func(string) (io.ReadCloser, error) { return nil, fs.ErrNotExist }
	if _, err := sbom.Document(t.Context(), in); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a part that is not there: %v", err)
	}
	in.Open = func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("nonsense")), nil }
	if _, err := sbom.Document(t.Context(), in); err == nil {
		t.Error("a bill of nonsense")
	}
}

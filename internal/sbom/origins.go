package sbom

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/waqasm86/llcuda/bundles"
)

// eula stands for NVIDIA's terms where no text of them lies in the bundle.
const eula = "LicenseRef-NVIDIA-CUDA-EULA"

// origins adds what a part was made of, and what it needs beside it.
func (w *writer) origins(id common.ElementID, p bundles.Part) {
	b := w.bundle
	nvidia := &common.Supplier{SupplierType: "Organization", Supplier: "NVIDIA Corporation"}
	if p.Kind == bundles.PartApp {
		from := source(b.Source)
		if text, ok := w.licences["llama.cpp.LICENSE"]; ok {
			from.PackageLicenseDeclared = licenceID("llama.cpp.LICENSE", text)
		}
		w.relate(id, common.TypeRelationshipGeneratedFrom, w.add(from))
	}
	if b.Image.Ref != "" {
		w.relate(w.add(image(b.Image)), common.TypeRelationshipBuildToolOf, id)
	}
	if b.Toolkit != "" {
		version := b.Toolkit
		if nvcc := b.Image.Tools["nvcc"]; nvcc != "" {
			version += " (nvcc " + nvcc + ")"
		}
		toolkit := w.add(&v2_3.Package{PackageName: "NVIDIA CUDA Toolkit", PackageSPDXIdentifier: "CUDA-Toolkit", PackageVersion: version,
			PackageSupplier: nvidia, PackageLicenseDeclared: eula,
			PackageComment: "Its compiler made the part's machine code; of its headers and cudart's stubs some is in it."})
		w.relate(toolkit, common.TypeRelationshipBuildToolOf, id)
	}
	for _, lib := range p.Provides {
		have := w.add(&v2_3.Package{PackageName: lib.Soname, PackageSPDXIdentifier: element("Library", lib.Soname, lib.Version), PackageVersion: lib.Version,
			PackageSupplier: nvidia, PackageLicenseDeclared: eula, PrimaryPackagePurpose: "LIBRARY"})
		w.relate(id, common.TypeRelationshipContains, have)
	}
	for _, need := range p.Needs {
		have := w.add(&v2_3.Package{PackageName: need.Soname, PackageSPDXIdentifier: element("Need", need.Soname, need.Min),
			PackageComment: asked(need), PrimaryPackagePurpose: "LIBRARY"})
		w.relate(have, common.TypeRelationshipRuntimeDependencyOf, id)
	}
}

func asked(n bundles.Need) string {
	if n.Min == "" {
		return "Not in the part: the host or a runtime part brings it."
	}
	return "Not in the part: the host or a runtime part brings it, version " + n.Min + " or newer."
}

func source(s bundles.Source) *v2_3.Package {
	p := &v2_3.Package{PackageName: "llama.cpp", PackageSPDXIdentifier: "Source", PackageVersion: first(s.Ref, s.Commit, s.Tree),
		PrimaryPackagePurpose: "SOURCE"}
	if s.Fixture {
		p.PackageName, p.PackageComment = "llcuda's test fixture", "Not llama.cpp: never served, never published."
	}
	var info []string
	for _, line := range [][2]string{{"ref", s.Ref}, {"commit", s.Commit}, {"tree", s.Tree}} {
		if line[1] != "" {
			info = append(info, line[0]+" "+line[1])
		}
	}
	p.PackageSourceInfo = strings.Join(info, ", ")
	if strings.HasPrefix(s.URL, "https://") {
		p.PackageDownloadLocation = "git+" + s.URL
		if s.Commit != "" {
			p.PackageDownloadLocation += "@" + s.Commit
		}
	}
	if name, ok := strings.CutPrefix(strings.TrimSuffix(s.URL, ".git"), "https://github.com/"); ok && s.Commit != "" {
		p.PackageExternalReferences = []*v2_3.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: "pkg:github/" + strings.ToLower(name) + "@" + s.Commit}}
	}
	return p
}

func image(i bundles.Image) *v2_3.Package {
	p := &v2_3.Package{PackageName: i.Ref, PackageSPDXIdentifier: "Image", PackageVersion: i.Digest, PrimaryPackagePurpose: "CONTAINER"}
	if hex, err := bundles.SHA256Hex(i.Digest); err == nil {
		p.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: hex}}
	}
	lines := []string{"What the part was built in."}
	if i.StandIn {
		lines = []string{"A stand-in for the image that the matrix names: what the part was built in."}
	}
	for _, tool := range slices.Sorted(maps.Keys(i.Tools)) {
		lines = append(lines, tool+": "+i.Tools[tool])
	}
	p.PackageComment = strings.Join(lines, "\n")
	return p
}

// ofNVIDIA says what of NVIDIA's is in a file, as it was read from it.
func ofNVIDIA(p bundles.Part, path string) string {
	for _, f := range p.Files {
		if f.Path != path {
			continue
		}
		var said []string
		if f.ELF != nil && f.ELF.NVIDIA != nil {
			said = append(said, "NVIDIA's "+f.ELF.NVIDIA.Library+" "+first(f.ELF.NVIDIA.Version, "of unknown version"))
		}
		if d := f.Device; d != nil {
			if d.NVIDIA != nil {
				said = append(said, "holds device code of NVIDIA's libraries ("+first(strings.Join(d.NVIDIA.Of, ", "), "of an unknown release")+")")
			}
			if d.Cudart != nil && d.Cudart.Link == "static" {
				said = append(said, fmt.Sprintf("NVIDIA's cudart %d is linked into it", d.Cudart.Major))
			}
		}
		return strings.Join(said, "; ")
	}
	return ""
}

// texts adds every licence text that is not one that SPDX has a name for.
func (w *writer) texts() {
	nvidia := false
	for _, name := range slices.Sorted(maps.Keys(w.licences)) {
		nvidia = nvidia || strings.HasPrefix(name, "NVIDIA.")
		if id := licenceID(name, w.licences[name]); strings.HasPrefix(id, "LicenseRef-") {
			w.doc.OtherLicenses = append(w.doc.OtherLicenses, &v2_3.OtherLicense{
				LicenseIdentifier: id, LicenseName: licences + name, ExtractedText: w.licences[name]})
		}
	}
	if w.bundle.Toolkit == "" {
		return
	}
	text := "The terms of the NVIDIA CUDA Toolkit. Their text is not in this bundle: it was not found where the bundle was built."
	if nvidia {
		text = "The terms of the NVIDIA CUDA Toolkit: see the texts LICENSES/NVIDIA.* of this bundle."
	}
	w.doc.OtherLicenses = append(w.doc.OtherLicenses, &v2_3.OtherLicense{LicenseIdentifier: eula, LicenseName: "NVIDIA CUDA Toolkit EULA", ExtractedText: text})
}

// licenceID is SPDX's name of a text where it is plainly that licence's, else a
// name of this document's own.
func licenceID(name, text string) string {
	const permission = "Permission is hereby granted, free of charge, to any person obtaining a copy"
	words := strings.Join(strings.Fields(text), " ")
	if strings.Count(words, permission) == 1 && strings.Contains(words, "The above copyright notice and this permission notice shall be included in all copies") &&
		len(words) < 1500 {
		return "MIT"
	}
	return "LicenseRef-" + string(element(name))
}

// element makes an identifier of letters, digits, dots and dashes.
func element(words ...string) common.ElementID {
	return common.ElementID(strings.Trim(strings.Map(func(r rune) rune {
		if r < 128 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.') {
			return r
		}
		return '-'
	}, strings.Join(words, "-")), "-"))
}

func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

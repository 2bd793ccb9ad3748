package sbom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spdx/tools-golang/spdxlib"
	"github.com/spdx/tools-golang/utils"

	"github.com/waqasm86/llcuda/bundles"
)

// Suffix ends the name of a bill: "<bundle id>.spdx.json".
const Suffix = ".spdx.json"

// namespace is where documents are named. Nothing has to answer there.
const namespace = "https://github.com/waqasm86/llcuda/spdx/"

const unknown = "NOASSERTION"

// Input is what a bill is made of.
type Input struct {
	Fragment bundles.Fragment
	// Tool is the version of the program that writes it.
	Tool string
	// Time is the source commit's; zero is the beginning of 1970.
	Time time.Time
	// Open gives a packed part by its name.
	Open func(name string) (io.ReadCloser, error)
}

// Document writes the bill of a bundle: a valid SPDX 2.3 document.
func Document(ctx context.Context, in Input) ([]byte, error) {
	data, err := document(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("bill of materials of %s: %w", in.Fragment.Bundle.ID, err)
	}
	return data, nil
}

func document(ctx context.Context, in Input) ([]byte, error) {
	b := in.Fragment.Bundle
	hash, err := bundles.SHA256Hex(b.App)
	if err != nil {
		return nil, err
	}
	if in.Time.IsZero() {
		in.Time = time.Unix(0, 0)
	}
	w := &writer{bundle: b, licences: map[string]string{}, doc: &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName: "llcuda-" + b.ID, DocumentNamespace: namespace + b.ID + "-" + hash,
		CreationInfo: &v2_3.CreationInfo{Created: in.Time.UTC().Format(time.RFC3339),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "llcuda-build-" + in.Tool}}},
	}}
	for _, key := range slices.Sorted(maps.Keys(in.Fragment.Parts)) {
		part := in.Fragment.Parts[key]
		r, err := in.Open(part.Name)
		if err != nil {
			return nil, err
		}
		c, err := read(ctx, part.Name, r)
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
		if c.digest != part.Contents {
			return nil, fmt.Errorf("%s unpacks to %s and the fragment says %s", part.Name, c.digest, part.Contents)
		}
		if err := w.part(key, part, c); err != nil {
			return nil, err
		}
	}
	w.texts()
	// The library's own check, on what a reader gets.
	var out bytes.Buffer
	if err := spdxjson.Write(w.doc, &out, spdxjson.Indent("  "), spdxjson.EscapeHTML(false)); err != nil {
		return nil, err
	}
	again, err := spdxjson.Read(bytes.NewReader(out.Bytes()))
	if err != nil {
		return nil, err
	}
	if err := spdxlib.ValidateDocument(again); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// writer collects a document.
type writer struct {
	bundle bundles.Bundle
	doc    *v2_3.Document
	// licences are texts by file name, of all parts.
	licences map[string]string
}

// part adds a part as a package with its files, and what it is made of.
func (w *writer) part(key string, p bundles.Part, c content) error {
	hash, err := bundles.SHA256Hex(key)
	if err != nil {
		return err
	}
	id := common.ElementID("Part-" + p.Kind + "-" + hash[:12])
	pack := &v2_3.Package{
		PackageName: "llcuda " + w.bundle.ID + " (" + p.Kind + ")", PackageSPDXIdentifier: id, PackageVersion: hash[:12],
		PackageFileName: p.Name, PackageDownloadLocation: unknown, FilesAnalyzed: true,
		PackageChecksums:        []common.Checksum{{Algorithm: common.SHA256, Value: hash}},
		PackageLicenseConcluded: unknown, PackageCopyrightText: "See the texts in LICENSES/.", PrimaryPackagePurpose: "ARCHIVE",
	}
	for name, text := range c.texts {
		if have, ok := w.licences[name]; ok && have != text {
			return fmt.Errorf("two parts hold different texts named %s", licences+name)
		}
		w.licences[name] = text
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.texts)) {
		if l := licenceID(name, c.texts[name]); !slices.Contains(names, l) {
			names = append(names, l)
		}
	}
	pack.PackageLicenseDeclared = unknown
	if len(names) > 0 {
		pack.PackageLicenseDeclared = strings.Join(names, " AND ")
	}
	for i, f := range c.files {
		file := &v2_3.File{
			FileName: "./" + f.path, FileSPDXIdentifier: common.ElementID(fmt.Sprintf("File-%s-%d", hash[:12], i+1)),
			Checksums:        []common.Checksum{{Algorithm: common.SHA1, Value: f.sha1}, {Algorithm: common.SHA256, Value: f.sha256}},
			LicenseConcluded: unknown, FileCopyrightText: unknown, FileComment: ofNVIDIA(p, f.path),
		}
		switch {
		case strings.HasPrefix(f.path, licences):
			file.FileTypes = []string{"TEXT"}
		case f.executable || strings.Contains(f.path, ".so"):
			file.FileTypes = []string{"BINARY"}
		}
		pack.Files = append(pack.Files, file)
		w.doc.Files = append(w.doc.Files, file)
		w.relate(id, common.TypeRelationshipContains, file.FileSPDXIdentifier)
	}
	code, err := utils.GetVerificationCode(pack.Files, "")
	if err != nil {
		return err
	}
	pack.PackageVerificationCode, pack.Files = &code, nil
	w.doc.Packages = append(w.doc.Packages, pack)
	w.relate("DOCUMENT", common.TypeRelationshipDescribe, id)
	w.origins(id, p)
	return nil
}

func (w *writer) relate(a common.ElementID, how string, b common.ElementID) {
	w.doc.Relationships = append(w.doc.Relationships, &v2_3.Relationship{
		RefA: common.DocElementID{ElementRefID: a}, Relationship: how, RefB: common.DocElementID{ElementRefID: b}})
}

// add puts a package into the document once; its files are elsewhere.
func (w *writer) add(p *v2_3.Package) common.ElementID {
	for _, have := range w.doc.Packages {
		if have.PackageSPDXIdentifier == p.PackageSPDXIdentifier {
			return p.PackageSPDXIdentifier
		}
	}
	p.PackageCopyrightText, p.PackageLicenseConcluded = unknown, unknown
	if p.PackageDownloadLocation == "" {
		p.PackageDownloadLocation = unknown
	}
	if p.PackageLicenseDeclared == "" {
		p.PackageLicenseDeclared = unknown
	}
	w.doc.Packages = append(w.doc.Packages, p)
	return p.PackageSPDXIdentifier
}

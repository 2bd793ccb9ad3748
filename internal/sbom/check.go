package sbom

import (
	"bytes"
	"errors"
	"fmt"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spdx/tools-golang/spdxlib"
)

// Check holds a document against what SPDX 2.3 asks of every document, as the SPDX
// project's own library reads it: its header, no relationship to what is not in it,
// and of each package a name, where it is from and under which licence.
func Check(data []byte) error {
	doc, err := spdxjson.Read(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("reading it as SPDX: %w", err)
	}
	errs := []error{spdxlib.ValidateDocument(doc)}
	miss := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	miss(doc.SPDXVersion != v2_3.Version, "it is %s, not %s", doc.SPDXVersion, v2_3.Version)
	miss(doc.DataLicense != v2_3.DataLicense, "its data licence is %q, not %s", doc.DataLicense, v2_3.DataLicense)
	miss(doc.DocumentName == "", "it has no name")
	miss(doc.DocumentNamespace == "", "it has no namespace")
	miss(doc.CreationInfo == nil || doc.CreationInfo.Created == "" || len(doc.CreationInfo.Creators) == 0, "nobody made it")
	miss(len(doc.Packages) == 0, "it names no package")
	for _, p := range doc.Packages {
		miss(p.PackageName == "", "package %s has no name", p.PackageSPDXIdentifier)
		miss(p.PackageDownloadLocation == "", "package %s: nothing says where it is from", p.PackageName)
		miss(p.PackageLicenseConcluded == "" && p.PackageLicenseDeclared == "", "package %s has no licence", p.PackageName)
	}
	return errors.Join(errs...)
}

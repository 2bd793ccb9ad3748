package sbom_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/internal/sbom"
)

func TestABillIsHeldAgainstSPDX(t *testing.T) {
	data, _ := whole(t, packed(t, files, nil))
	if err := sbom.Check(data); err != nil {
		t.Errorf("our own bill: %v", err)
	}
	for _, c := range []struct{ from, to, want string }{
		{"SPDX-2.3", "SPDX-2.9", "reading it as SPDX"},
		{`"dataLicense": "CC0-1.0"`, `"dataLicense": "MIT"`, "data licence"},
		{`"relatedSpdxElement": "`, `"relatedSpdxElement": "SPDXRef-none-`, "none-"},
		{`"downloadLocation"`, `"otherLocation"`, "where it is from"},
	} {
		if !bytes.Contains(data, []byte(c.from)) {
			t.Fatalf("the bill has no %s:\n%s", c.from, data)
		}
		err := sbom.Check(bytes.Replace(data, []byte(c.from), []byte(c.to), 1))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.to, err, c.want)
		}
	}
}

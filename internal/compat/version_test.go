package compat

import (
	"testing"

	"golang.org/x/mod/semver"
)

func TestVersionsCompareDotByDotAsNumbers(t *testing.T) {
	order := []string{"450.51.05", "450.80.02", "450.119.03", "525.60.13", "525.105.17", "535.54.03", "570.26", "570.86.15", "570.124.06", "580.65.06"}
	for i, a := range order {
		for j, b := range order {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := version(a).Compare(version(b)); got != want {
				t.Errorf("%s against %s: got %d, want %d", a, b, got, want)
			}
		}
	}
	if version("12.4").Compare(version("12.4.0")) != 0 || version("525.60.3").Compare(version("525.60.03")) != 0 {
		t.Error("missing parts and padding must not matter")
	}
	if !(Version{}).Less(version("0.0")) || version("450.80.02").String() != "450.80.02" {
		t.Error("unknown is below everything, and text is kept as written")
	}
}

// Why driver versions are not semver's.
func TestSemverRefusesPaddedDriverVersions(t *testing.T) {
	for _, s := range []string{"450.80.02", "570.124.06"} {
		if semver.IsValid("v" + s) {
			t.Errorf("semver accepts %s now: ParseVersion may go", s)
		}
		if _, err := ParseVersion(s); err != nil {
			t.Error(err)
		}
	}
	if semver.IsValid("v12.4.5.8") {
		t.Error("semver accepts four parts now")
	}
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"", "1", "12.4", "525.60.13", "12.4.5.8", "1.2.3.4.5", ".", "1.", "-1", "9999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err == nil && (v.String() != s || !v.Known() || v.Compare(v) != 0) {
			t.Errorf("%q became %+v", s, v)
		}
	})
}

func FuzzRanges(f *testing.F) {
	for _, s := range []string{"8.6", "5.0-6.1", "8.6-8.x", "9.0+", "-", "x", "8.6-", "8.6-x.x", "9.0+-9.9"} {
		f.Add(s, "8.6")
	}
	f.Fuzz(func(t *testing.T, r, c string) {
		cc, err := ParseCC(c)
		if err != nil {
			return
		}
		if matches(r, cc) && r == "" {
			t.Error("an empty range matches")
		}
		if _, err := ParseSM(r); err == nil && matches(r, cc) {
			t.Errorf("%q is no range and matches %s", r, c)
		}
	})
}

func TestTargetsAndCapabilitiesAreReadStrictly(t *testing.T) {
	for s, want := range map[string]string{"75": "7.5", "90a": "9.0", "100f": "10.0", "121a": "12.1"} {
		if sm, err := ParseSM(s); err != nil || sm.String() != want {
			t.Errorf("%q: %v %v", s, sm, err)
		}
	}
	for _, s := range []string{"", "a", "7", "7.5", "sm_75", "75b", "+75", "-75", "1000"} {
		if sm, err := ParseSM(s); err == nil {
			t.Errorf("%q was read as %v", s, sm)
		}
	}
	for _, s := range []string{"", "75", "7", "7.", ".5", "7.50", "x.y", "0.5"} {
		if cc, err := ParseCC(s); err == nil {
			t.Errorf("%q was read as %v", s, cc)
		}
	}
}

package compat

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is a dotted number of up to four parts: a CUDA version ("12.4"), a
// driver ("525.60.13"), a glibc ("2.31"), a PTX ISA ("8.7"). Parts may be
// padded with zeros, which semantic versioning forbids and NVIDIA does: 450.80.02
// is 450.80.2. A missing part counts as 0. The zero Version is "not known".
type Version struct {
	part [4]int32
	n    int8
	text string
}

// ParseVersion reads a dotted number.
func ParseVersion(s string) (Version, error) {
	var v Version
	rest := s
	for more := true; more; {
		var p string
		p, rest, more = strings.Cut(rest, ".")
		if int(v.n) == len(v.part) {
			return Version{}, fmt.Errorf("version %q has more than %d parts", s, len(v.part))
		}
		if p == "" || len(p) > 9 {
			return Version{}, fmt.Errorf("version %q is not a dotted number", s)
		}
		var num int32
		for _, c := range []byte(p) {
			if c < '0' || c > '9' {
				return Version{}, fmt.Errorf("version %q is not a dotted number", s)
			}
			num = num*10 + int32(c-'0')
		}
		v.part[v.n] = num
		v.n++
	}
	v.text = s
	return v, nil
}

// version is ParseVersion where an unreadable version is as good as none.
func version(s string) Version {
	v, err := ParseVersion(s)
	if err != nil {
		return Version{}
	}
	return v
}

// Known says whether there is a version at all.
func (v Version) Known() bool { return v.n > 0 }

// Compare is -1, 0 or 1; what is not known is below everything.
func (v Version) Compare(w Version) int {
	if v.Known() != w.Known() {
		if w.Known() {
			return -1
		}
		return 1
	}
	for i := range v.part {
		if v.part[i] != w.part[i] {
			if v.part[i] < w.part[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// Less says whether v is older than w.
func (v Version) Less(w Version) bool { return v.Compare(w) < 0 }

// Major is the first part: of a driver version its branch.
func (v Version) Major() int { return int(v.part[0]) }

// minor cuts a version to its first two parts: 12.4.1 is CUDA 12.4.
func (v Version) minor() Version {
	v.part[2], v.part[3] = 0, 0
	if v.n > 2 {
		v.n = 2
		v.text = strconv.Itoa(int(v.part[0])) + "." + strconv.Itoa(int(v.part[1]))
	}
	return v
}

// CC is a compute capability: 8.6 is {8, 6}.
type CC struct{ Major, Minor int }

// ParseCC reads "8.6".
func ParseCC(s string) (CC, error) {
	a, b, ok := strings.Cut(s, ".")
	major, err1 := strconv.Atoi(a)
	minor, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil || major < 1 || major > 99 || minor < 0 || minor > 9 {
		return CC{}, fmt.Errorf("compute capability %q is not of the form 8.6", s)
	}
	return CC{major, minor}, nil
}

func (c CC) String() string { return strconv.Itoa(c.Major) + "." + strconv.Itoa(c.Minor) }

// SM is the number in sm_86.
func (c CC) SM() string { return strconv.Itoa(c.Major*10 + c.Minor) }

// Compare is -1, 0 or 1.
func (c CC) Compare(d CC) int {
	switch a, b := c.Major*10+c.Minor, d.Major*10+d.Minor; {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// SM is a compiler target: 90a is {{9, 0}, 'a'}.
type SM struct {
	CC
	// Suffix is 'a' (that very chip), 'f' (family) or 0.
	Suffix byte
}

// ParseSM reads "86", "90a", "100f".
func ParseSM(s string) (SM, error) {
	var t SM
	num := s
	if n := len(s); n > 0 && (s[n-1] == 'a' || s[n-1] == 'f') {
		t.Suffix, num = s[n-1], s[:n-1]
	}
	n, err := strconv.Atoi(num)
	if err != nil || n < 10 || n > 999 || num[0] == '+' {
		return SM{}, fmt.Errorf("SM %q is not of the form 86, 90a or 100f", s)
	}
	t.CC = CC{n / 10, n % 10}
	return t, nil
}

// String is the version as it was written, padding and all; what is not known is "".
func (v Version) String() string { return v.text }

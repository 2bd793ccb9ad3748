package inspect

import (
	"fmt"
	slashpath "path"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// maxVersionCode bounds the function that is read for a version.
const maxVersionCode = 4 << 10

const (
	// maxCalledCode bounds what is read of a function that it calls: one that
	// only returns a number is shorter.
	maxCalledCode = 64
	opCall        = 0xe8
	opReturn      = 0xc3
)

// versionFunction is the function of a library that returns its version as one
// number, and how that is made up.
type versionFunction struct {
	name string
	// major, minor and patch are the factors; patch 0 leaves it out.
	major, minor, patch uint32
}

// versionFunctions by library. In each, or in one that it calls, the number
// stands in the code: measured on Debian's 11.8 and 12.4 and on NCCL 2.22.3.
// libcublas has none: it asks libcublasLt.
var versionFunctions = map[string]versionFunction{
	"cudart":   {"cudaRuntimeGetVersion", 1000, 10, 0},
	"cublasLt": {"cublasLtGetVersion", 10000, 100, 1},
	"cufft":    {"cufftGetVersion", 1000, 100, 1},
	"nccl":     {"ncclGetVersion", 10000, 100, 1},
}

// redistributableFacts recognises NVIDIA's library by its SONAME, and reads its
// version from the file's name and from what the file says of itself: the number
// that its version function returns, or the banner of a compiler. nil for others.
func redistributableFacts(o *object, soname, release string) (*facts.Redistributable, error) {
	if !IsNVIDIA(soname) {
		return nil, nil
	}
	stem, major, _ := strings.Cut(soname, ".so")
	r := &facts.Redistributable{Library: strings.TrimPrefix(stem, "lib"), Content: release}
	if rest, ok := strings.CutPrefix(slashpath.Base(o.file), stem+".so."); ok && isVersion(rest) && strings.Contains(rest, ".") && rest != strings.TrimPrefix(major, ".") {
		r.Name = rest
	}
	if v, ok := versionFunctions[r.Library]; ok && r.Content == "" {
		var err error
		if r.Content, err = v.read(o, strings.TrimPrefix(major, ".")); err != nil {
			return nil, err
		}
	}
	r.Version = r.Name
	if r.Content != "" && !agree(r.Name, r.Content) {
		r.Version = r.Content
	}
	return r, nil
}

// agree says whether one version is the other, to the parts that both have.
// cudart 11.8.89 says 11.8, cuBLAS 12.4.5.8 says 12.4.5.
func agree(name, content string) bool {
	return name != "" && (strings.HasPrefix(name+".", content+".") || strings.HasPrefix(content+".", name+"."))
}

// read finds the number: the only constant of the function that is a version of
// that major, "" where there are none or several.
func (v versionFunction) read(o *object, soname string) (string, error) {
	if o.machine != machineX86 {
		return "", nil
	}
	var f function
	err := eachSymbol(o, func(name []byte, b []byte) {
		if string(name) == v.name && le.Uint16(b[6:]) != 0 {
			f = function{le.Uint64(b[8:]), le.Uint64(b[16:])}
		}
	})
	if err != nil || f.size == 0 || !o.executable(f.addr, f.size) {
		return "", err
	}
	major, _, _ := strings.Cut(soname, ".")
	found := map[string]bool{}
	if err := v.immediates(o, f, major, found, true); err != nil || len(found) != 1 {
		return "", err
	}
	for text := range found {
		return text, nil
	}
	return "", nil
}

// immediates notes the versions of that major among the constants of a
// function, and where it is said to follow them, of those it calls.
func (v versionFunction) immediates(o *object, f function, major string, found map[string]bool, follow bool) error {
	off, ok := o.fileOffset(f.addr)
	if !ok {
		return nil
	}
	b, err := o.bytes(off, min(f.size, maxVersionCode, o.loadedFrom(f.addr)), "the version function")
	if err != nil {
		return err
	}
	var i instruction
	for at := f.addr; len(b) > 0 && i.decode(b); at, b = at+uint64(i.n), b[i.n:] {
		switch {
		case i.table != 0 || i.n < 5:
			if i.op == opReturn && i.table == 0 && !follow {
				return nil
			}
		case i.op == 0xc7 || i.op >= 0xb8 && i.op <= 0xbf:
			text := v.text(le.Uint32(b[i.n-4:]))
			if m, _, _ := strings.Cut(text, "."); m == major {
				found[text] = true
			}
		case i.op == opCall && follow:
			to := at + uint64(i.n) + uint64(int32(le.Uint32(b[i.n-4:])))
			if o.executable(to, 1) {
				if err := v.immediates(o, function{to, maxCalledCode}, major, found, false); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (v versionFunction) text(n uint32) string {
	if v.patch == 0 {
		return fmt.Sprintf("%d.%d", n/v.major, n%v.major/v.minor)
	}
	return fmt.Sprintf("%d.%d.%d", n/v.major, n%v.major/v.minor, n%v.minor/v.patch)
}

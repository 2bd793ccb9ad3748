package bundles

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// preferHugePages asks for pages of 2 MiB or so behind b, which the kernel has for
// those who ask (transparent_hugepage "madvise", its usual setting): 8,192 page
// faults less for 32 MiB, and fewer misses where a decoder looks back anywhere in
// them. It is a wish: what the kernel answers changes nothing.
func preferHugePages(b []byte) {
	page := os.Getpagesize()
	if len(b) < 2*page {
		return
	}
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (page - 1) // to where a page begins
	_ = unix.Madvise(b[skip:len(b)-(len(b)-skip)%page], unix.MADV_HUGEPAGE)
}

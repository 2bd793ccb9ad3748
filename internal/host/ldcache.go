package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
)

// The file /etc/ld.so.cache, as glibc's sysdeps/generic/dl-cache.h lays it out.
const (
	cacheMagicOld = "ld.so-1.7.0\x00"
	cacheMagicNew = "glibc-ld.so.cache1.1"
	cacheHeadNew  = 48
	cacheEntryNew = 24
	cacheEntryOld = 12
	cacheHeadOld  = 16
	// Flags of an entry: a library for libc6, and for which machine.
	cacheTypeMask = 0x00ff
	cacheLibc6    = 0x0003
	cacheArchMask = 0xff00
	cacheX8664    = 0x0300
	cacheAarch64  = 0x0a00
)

var errCache = errors.New("/etc/ld.so.cache is not in a form known here")

// parseCache returns the libraries of a loader cache for this program's machine,
// by SONAME, in the cache's order of preference.
func parseCache(data []byte) (map[string][]string, error) {
	if bytes.HasPrefix(data, []byte(cacheMagicOld)) {
		if len(data) < cacheHeadOld {
			return nil, errCache
		}
		n := uint64(binary.LittleEndian.Uint32(data[12:]))
		start := (cacheHeadOld + n*cacheEntryOld + 7) &^ 7
		if start > uint64(len(data)) {
			return nil, errCache
		}
		data = data[start:] // offsets count from here
	}
	if !bytes.HasPrefix(data, []byte(cacheMagicNew)) || len(data) < cacheHeadNew {
		return nil, errCache
	}
	n := uint64(binary.LittleEndian.Uint32(data[20:]))
	if cacheHeadNew+n*cacheEntryNew > uint64(len(data)) {
		return nil, errCache
	}
	arch := uint32(cacheX8664)
	if runtime.GOARCH == "arm64" {
		arch = cacheAarch64
	}
	out := map[string][]string{}
	for i := range n {
		e := data[cacheHeadNew+i*cacheEntryNew:]
		flags := binary.LittleEndian.Uint32(e)
		if flags&cacheTypeMask != cacheLibc6 || flags&cacheArchMask != arch {
			continue
		}
		name, ok1 := cString(data, binary.LittleEndian.Uint32(e[4:]))
		file, ok2 := cString(data, binary.LittleEndian.Uint32(e[8:]))
		if !ok1 || !ok2 {
			return nil, errCache
		}
		out[name] = append(out[name], file)
	}
	return out, nil
}

func cString(data []byte, at uint32) (string, bool) {
	if uint64(at) >= uint64(len(data)) {
		return "", false
	}
	end := bytes.IndexByte(data[at:], 0)
	if end < 0 {
		return "", false
	}
	return string(data[at : int(at)+end]), true
}

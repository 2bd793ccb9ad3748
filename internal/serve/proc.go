package serve

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// listeners are the TCP addresses that a process listens on, by /proc: how the
// port is found of a server that was told not to speak, and proof that it is ours
// who answers there. What cannot be read is left out.
func listeners(pid int) []netip.AddrPort {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return nil
	}
	own := map[string]bool{}
	for _, fd := range fds {
		if link, err := os.Readlink(filepath.Join(dir, "fd", fd.Name())); err == nil {
			if inode, ok := strings.CutPrefix(link, "socket:["); ok {
				own[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	var found []netip.AddrPort
	for _, table := range []string{"tcp", "tcp6"} {
		f, err := os.Open(filepath.Join(dir, "net", table))
		if err != nil {
			continue
		}
		found = append(found, listenRows(f, own)...)
		f.Close()
	}
	return found
}

// listenRows reads a table of /proc/net/tcp or tcp6: the local addresses in
// state LISTEN whose inode is in own.
func listenRows(table io.Reader, own map[string]bool) []netip.AddrPort {
	const listen = "0A"
	var found []netip.AddrPort
	for lines := bufio.NewScanner(table); lines.Scan(); {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[3] != listen || !own[f[9]] {
			continue
		}
		if addr, err := kernelAddr(f[1]); err == nil {
			found = append(found, addr)
		}
	}
	return found
}

// kernelAddr reads "0100007F:1F90": 32-bit words in the host's byte order, then
// the port in hexadecimal.
func kernelAddr(s string) (netip.AddrPort, error) {
	words, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(words)
	if err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("address %q of /proc/net/tcp", s)
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q of /proc/net/tcp", s)
	}
	return netip.AddrPortFrom(ip, uint16(n)), nil
}

// activity is a text that changes while a process computes or reads pages:
// page faults from disk and CPU time of /proc/PID/stat. It is "" where that
// cannot be read.
func activity(pid int) string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	// The second field is the program's name in parentheses and may hold anything.
	i := strings.LastIndexByte(string(b), ')')
	f := strings.Fields(string(b[i+1:]))
	const majflt, utime, stime = 12 - 3, 14 - 3, 15 - 3 // numbered as in proc(5)
	if len(f) <= stime {
		return ""
	}
	return f[majflt] + " " + f[utime] + " " + f[stime]
}

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
	"time"
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

// activity is what a process has used so far.
type activity struct {
	// ticks of CPU time, of 10 ms.
	ticks int64
	// faults are pages read from disk.
	faults int64
}

// activityOf reads /proc/PID/stat; the zero value where it cannot be read.
func activityOf(pid int) activity {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return activity{}
	}
	return parseStat(string(b))
}

func parseStat(stat string) activity {
	// The second field is the program's name in parentheses and may hold anything.
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const majflt, utime, stime = 12 - 3, 14 - 3, 15 - 3 // numbered as in proc(5)
	if len(f) <= stime {
		return activity{}
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(f[i], 10, 64) // 0 where the kernel writes something new
		return n
	}
	return activity{ticks: number(utime) + number(stime), faults: number(majflt)}
}

// busySince says whether a process worked between two looks: read from disk,
// or used more than a twentieth of one CPU. Answering our health checks takes
// less than that.
func (a activity) busySince(before activity, elapsed time.Duration) bool {
	const ticksASecond, share = 100, 20
	return a.faults != before.faults ||
		a.ticks-before.ticks > 1+int64(elapsed.Seconds()*ticksASecond/share)
}

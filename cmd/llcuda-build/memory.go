package main

import (
	"os"
	"strconv"
	"strings"
)

// machineMemory is how many bytes this process may use: the machine's memory, or less
// where a control group says so; 0 where neither can be read.
func machineMemory() int64 {
	info, _ := os.ReadFile("/proc/meminfo")
	groups := make([]string, 0, 2)
	for _, f := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, _ := os.ReadFile(f)
		groups = append(groups, string(text))
	}
	return memoryOf(string(info), groups...)
}

// memoryOf reads /proc/meminfo and the limits of control groups.
func memoryOf(meminfo string, limits ...string) int64 {
	var total int64
	for line := range strings.Lines(meminfo) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				total = n << 10
			}
		}
	}
	for _, text := range limits {
		// "max", or a number beyond any memory, is no limit.
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n > 0 && (total == 0 || n < total) && n < 1<<50 {
			total = n
		}
	}
	return total
}

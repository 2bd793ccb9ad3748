package ci

import (
	"fmt"
	"strings"
)

// maxTools bounds the tools file: it is a page of version lines.
const maxTools = 64 << 10

// parseTools reads the file that the record step wrote: "key=value" lines.
// Empty lines and lines that begin with '#' are skipped.
func parseTools(data string) (map[string]string, error) {
	if len(data) > maxTools {
		return nil, fmt.Errorf("%d bytes, more than %d", len(data), maxTools)
	}
	tools := map[string]string{}
	for i, line := range strings.Split(data, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" || strings.ContainsAny(key, " \t") {
			return nil, fmt.Errorf("line %d is not key=value: %q", i+1, cut(line))
		}
		if _, twice := tools[key]; twice {
			return nil, fmt.Errorf("line %d: %s is there twice", i+1, key)
		}
		tools[key] = strings.ToValidUTF8(value, "?")
	}
	return tools, nil
}

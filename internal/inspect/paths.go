package inspect

import (
	"bytes"
	"slices"
	"strings"
)

// buildRoots are folders that exist on build machines, containers and CI
// runners, and that a finished program has no reason to name. /usr, /opt, /etc,
// /var and /tmp are not among them: programs use those by right.
var buildRoots = []string{"/src/", "/bld/", "/build/", "/builds/", "/out/", "/ccache/", "/root/", "/home/", "/Users/",
	"/work/", "/workspace/", "/workspaces/", "/__w/", "/github/"}

// sourceEndings are file names that only a compiler's input has.
var sourceEndings = []string{".c", ".cc", ".cpp", ".cxx", ".cu", ".cuh", ".h", ".hh", ".hpp", ".inc", ".inl", ".py", ".rs", ".go", ".s", ".S"}

const (
	// maxPath is the longest path looked for, maxPaths how many a file's facts
	// list: enough to see where they come from.
	maxPath  = 1024
	maxPaths = 256
	scanSize = 128 << 10
)

// staticCudart is a message in the CUDA runtime's table of error texts: a file
// that holds it and does not need libcudart.so has the runtime inside.
var staticCudart = []byte("CUDA driver version is insufficient for CUDA runtime version\x00")

// textScan is what a walk through a file's constant data looks for.
type textScan struct {
	paths  map[string]bool
	users  map[string]bool
	cudart bool
	// comments is how much of the compilers' was read.
	comments uint64
	// toolRelease asks for the release that NVIDIA's compilers name in themselves.
	toolRelease bool
	release     string
}

// scan walks the sections with constant data and debug strings.
func (t *textScan) scan(o *object) error {
	for i := range o.sections {
		s := &o.sections[i]
		if s.kind == shtNobits || s.flags&shfCompressed != 0 {
			continue
		}
		if o.hasName(s, ".comment") {
			if err := t.comment(o, s); err != nil {
				return err
			}
		}
		data := s.flags&shfAlloc != 0 && (o.hasPrefix(s, ".rodata") || o.hasPrefix(s, ".lrodata"))
		debug := o.hasName(s, ".debug_str") || o.hasName(s, ".debug_line_str") || o.hasName(s, ".debug_line")
		if !data && !debug {
			continue
		}
		g, err := o.window(s)
		if err != nil {
			return err
		}
		if err := t.window(g, debug); err != nil {
			return err
		}
	}
	return nil
}

// window looks through one section, piece by piece, with as much of the piece
// before as a path that crosses the border needs.
func (t *textScan) window(g region, debug bool) error {
	buf := make([]byte, 1, min(scanSize, g.size)+maxPath+1)
	return g.chunks(scanSize, "constant data", func(off int64, b []byte) bool {
		buf = append(buf, b...)
		last := off+int64(len(b)) >= g.size
		end := len(buf)
		if !last {
			end -= min(maxPath, end-1)
		}
		t.bytes(buf, end, debug)
		t.banner(buf[:end])
		if t.toolRelease && t.release == "" {
			t.release = toolRelease(buf)
		}
		t.cudart = t.cudart || bytes.Contains(buf, staticCudart)
		// One byte before the rest stays, for what a path may follow.
		buf = append(buf[:0], buf[end-1:]...)
		return true
	})
}

// bytes looks for paths that start in b[1:end]; b[0] is only what comes before.
func (t *textScan) bytes(b []byte, end int, debug bool) {
	for i := 1; i < end; i++ {
		n := bytes.IndexByte(b[i:end], '/')
		if n < 0 {
			return
		}
		i += n
		if p := leakedPath(b, i, debug); p != "" && len(t.paths) < maxPaths {
			t.paths[p] = true
		}
	}
}

// leakedPath is the path of a build machine that starts at b[i], or "".
//
// It must start a string, that is follow a NUL. After a blank, an equals sign, a
// quotation mark or a bracket, or after -I or -L, it counts in debug strings
// (they hold the compiler's command line), elsewhere only if it names a source
// file. It ends before the first character that is not used in such paths; a
// per cent sign makes it a pattern, which is not a leak.
func leakedPath(b []byte, i int, debug bool) string {
	root := ""
	for _, r := range buildRoots {
		if bytes.HasPrefix(b[i:], []byte(r)) {
			root = r
			break
		}
	}
	if root == "" {
		return ""
	}
	before := b[i-1]
	option := i >= 2 && b[i-2] == '-' && (before == 'I' || before == 'L')
	if before != 0 && !option && !strings.ContainsRune(" =\"'([<", rune(before)) {
		return ""
	}
	end := i
	for end < len(b) && end-i < maxPath && b[end] > ' ' && b[end] <= '~' && !strings.ContainsRune("\"'<>|:;,()[]", rune(b[end])) {
		end++
	}
	path := string(b[i:end])
	rest := path[len(root):]
	if root == "/home/" || root == "/Users/" {
		// Someone's folder is not enough: something must be in it.
		_, rest, _ = strings.Cut(rest, "/")
	}
	if strings.Trim(rest, "/.") == "" || strings.ContainsAny(path, "%{}*$`") {
		return ""
	}
	if before != 0 && !debug && !slices.ContainsFunc(sourceEndings, func(e string) bool { return strings.HasSuffix(path, e) }) {
		return ""
	}
	return path
}

// leakedRunpath says whether a search path names a build machine.
func leakedRunpath(p string) bool {
	return slices.ContainsFunc(buildRoots, func(r string) bool { return strings.HasPrefix(p, r) })
}

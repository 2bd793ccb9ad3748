package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	slashpath "path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// Schema is the version of the report's JSON form.
const Schema = 1

// headSize is how much of a file tells its kind: PTX may start with comments.
const headSize = 16 << 10

// Want asks for facts that take longer than a glance.
type Want uint8

const (
	// CPU decodes all code for x86-64: some 20 ns an instruction.
	CPU Want = 1 << iota
	// Kernels lists the kernels of all images by name, decompressing what it must.
	Kernels
	// Units lists every unit by its place in the file.
	Units
)

func (w Want) has(v Want) bool { return w&v != 0 }

func wanted(list []Want) Want {
	var all Want
	for _, w := range list {
		all |= w
	}
	return all
}

// File reads the facts of one file. A file that is none of the kinds read here
// gives only its path and size; a damaged one gives a *FormatError. What lies in
// the folders that the file's search path names counts as its bundle.
func File(path string, want ...Want) (facts.File, error) {
	f, err := file(path, path, wanted(want))
	if err != nil || f.ELF == nil {
		return f, err
	}
	var around facts.Folder
	place := filepath.ToSlash(path)
	for _, dir := range append(facts.Origins(place, f.ELF.Runpath), slashpath.Dir(place)) {
		for _, n := range f.ELF.Needed {
			near := slashpath.Join(dir, slashpath.Base(n))
			if info, err := os.Stat(filepath.FromSlash(near)); err == nil && info.Mode().IsRegular() {
				around.Add(near)
			}
		}
	}
	at := f
	at.Path = place
	f.ELF.Needs = facts.NeedsOf(at, around)
	return f, nil
}

func file(path, name string, want Want) (facts.File, error) {
	// Asked before it is opened: a pipe that nobody writes to would wait for ever.
	info, err := os.Stat(path)
	if err != nil {
		return facts.File{}, fmt.Errorf("inspecting %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return facts.File{}, fmt.Errorf("inspecting %s: not a regular file", name)
	}
	f, err := os.Open(path)
	if err != nil {
		return facts.File{}, fmt.Errorf("inspecting %s: %w", name, err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return facts.File{}, fmt.Errorf("inspecting %s: %w", name, err)
	}
	return Reader(f, info.Size(), name, want)
}

// Dir reads the facts of all regular files below root, several at once, and
// lists them by path. Symbolic links are listed with their target and not
// followed; other things are passed over. Where files cannot be read the report
// holds the others, and the error joins what went wrong with each.
func Dir(root string, want ...Want) (facts.Report, error) {
	report := facts.Report{Schema: Schema, Files: []facts.File{}}
	var files []facts.File
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f := facts.File{Path: filepath.ToSlash(rel)}
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			if f.Link, err = os.Readlink(path); err != nil {
				return err
			}
		case !d.Type().IsRegular():
			return nil
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return report, fmt.Errorf("inspecting the folder %s: %w", root, err)
	}
	errs := make([]error, len(files))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range files {
		if f.Link != "" {
			continue
		}
		g.Go(func() error {
			files[i], errs[i] = file(filepath.Join(root, filepath.FromSlash(f.Path)), f.Path, wanted(want))
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs, so that none is lost
	for i, f := range files {
		if errs[i] == nil {
			report.Files = append(report.Files, f)
		}
	}
	slices.SortFunc(report.Files, func(a, b facts.File) int { return strings.Compare(a.Path, b.Path) })
	Surround(&report)
	return report, errors.Join(errs...)
}

// Surround says of every library that a file of the report needs who brings it,
// the report being of one whole folder.
func Surround(r *facts.Report) {
	around := facts.FolderOf(r.Files)
	for i := range r.Files {
		if e := r.Files[i].ELF; e != nil {
			e.Needs = facts.NeedsOf(r.Files[i], around)
		}
	}
}

// Reader reads the facts of size bytes. name is what the facts and errors call
// them. It may be called from several goroutines with one r.
func Reader(r io.ReaderAt, size int64, name string, want ...Want) (facts.File, error) {
	t, err := openTable(nvidiaData)
	if err != nil {
		return facts.File{Path: name, Size: size}, err
	}
	return readWith(t, r, size, name, want...)
}

func readWith(t *nvtable, r io.ReaderAt, size int64, name string, want ...Want) (facts.File, error) {
	f := facts.File{Path: name, Size: size}
	if size < 0 {
		return f, fmt.Errorf("inspecting %s: a size of %d bytes", name, size)
	}
	g := region{r: r, file: name, size: size}
	head, err := g.prefix(headSize)
	if err != nil {
		return f, err
	}
	d := newDevice(t, size)
	d.each = wanted(want).has(Units)
	switch {
	case bytes.HasPrefix(head, []byte(thinMagic)):
		return f, g.fail(0, "a thin archive, which only names its members: inspect those")
	case bytes.HasPrefix(head, []byte(archiveMagic)):
		err = d.archive(g)
	case bytes.HasPrefix(head, elfMagic):
		f.ELF, err = d.elf(g, head, wanted(want))
	case len(head) >= 4 && (le.Uint32(head) == containerMagic || le.Uint32(head) == oldMagic):
		err = d.fatbin(g)
	case looksLikePTX(head):
		err = d.text(g)
	}
	if err != nil {
		return facts.File{Path: name, Size: size}, err
	}
	f.Device = d.facts(f.ELF)
	if f.Device != nil && wanted(want).has(Kernels) {
		if f.Device.Kernels, err = kernelFacts(g, head); err != nil {
			return facts.File{Path: name, Size: size}, err
		}
	}
	return f, nil
}

// elf reads a host file or a cubin.
func (d *device) elf(g region, head []byte, want Want) (*facts.ELF, error) {
	if _, ok := readCubinHead(head); ok {
		return nil, d.bareCubin(g)
	}
	o, err := openELF(g)
	if err != nil {
		return nil, err
	}
	e, err := hostFacts(o)
	if err != nil {
		return nil, err
	}
	// The text and the device code are apart in the file, and both take time.
	t := textScan{paths: map[string]bool{}, users: map[string]bool{}, toolRelease: IsNVIDIA(e.Soname)}
	scanned := make(chan error, 1)
	if _, whole := g.r.(*os.File); whole {
		go func() { scanned <- t.scan(o) }()
	} else {
		scanned <- t.scan(o) // a stream that passes again and again: one place at a time
	}
	code := d.object(o)
	if err := <-scanned; err != nil {
		return nil, err
	}
	if code != nil {
		return nil, code
	}
	for _, p := range e.Runpath {
		if leakedRunpath(p) {
			t.paths[p] = true
		}
	}
	if len(t.paths) > 0 {
		e.BuildPaths = slices.Sorted(maps.Keys(t.paths))
	}
	e.Users = t.people(e.BuildPaths)
	if e.NVIDIA, err = redistributableFacts(o, e.Soname, t.release); err != nil {
		return nil, err
	}
	if want.has(CPU) {
		if e.CPU, err = cpuFacts(o); err != nil {
			return nil, err
		}
	}
	d.static = t.cudart && !strings.HasPrefix(e.Soname, "libcudart.")
	if IsNVIDIA(e.Soname) {
		if d.node, err = definesVersion(o, e.Soname); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// archive reads the objects of a static library; members of other kinds are
// passed over.
func (d *device) archive(g region) error {
	return eachMember(g, func(m region) error {
		head, err := m.prefix(elfHeaderSize)
		if err != nil || !bytes.HasPrefix(head, elfMagic) {
			return err
		}
		if _, ok := readCubinHead(head); ok {
			return d.bareCubin(m)
		}
		o, err := openELF(m)
		if err != nil {
			return err
		}
		return d.object(o)
	})
}

// fatbin reads a bare fat binary: every container is a unit.
func (d *device) fatbin(g region) error {
	return eachContainer(g, &d.left, func(c *container) error {
		u, err := d.look.examine(c)
		if err != nil {
			return err
		}
		d.unit(u, false)
		return nil
	})
}

// bareCubin reads a cubin on its own: one unit.
func (d *device) bareCubin(g region) error {
	c, err := openCubin(g)
	if err != nil {
		return err
	}
	u := &unit{owner: facts.OwnerOwn}
	if u.defines, err = c.defines(); err != nil {
		return err
	}
	sm, err := c.sm()
	if err != nil {
		return err
	}
	u.images = []facts.Image{{Kind: facts.KindSASS, SM: sm, Compression: compressNone}}
	toolkit, err := c.toolkit()
	if err != nil {
		return err
	}
	if toolkit != "" {
		u.toolkits = []string{toolkit}
	}
	d.unit(u, false)
	return nil
}

// text reads a PTX file: one unit.
func (d *device) text(g region) error {
	t, err := scanPTX(g.reader(), g.size+1, true)
	if err != nil {
		return fmt.Errorf("reading the PTX text of %s: %w", g.file, err)
	}
	if t.isa == "" || t.target == "" {
		return g.fail(0, "a PTX text without a proper .version and .target")
	}
	d.unit(&unit{off: g.off, size: g.size, owner: facts.OwnerOwn, defines: t.defines, images: []facts.Image{{Kind: facts.KindPTX, SM: clean(t.target), ISA: t.isa, Compression: compressNone}}}, false)
	return nil
}

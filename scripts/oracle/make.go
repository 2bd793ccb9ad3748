package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

//go:embed programs/unit.cu
var unitSource string

//go:embed programs/main.c
var mainSource string

// program is one program as cases.json lists it, beside it.
type program struct {
	Name   string `json:"name"`
	File   string `json:"file"`
	How    string `json:"how"`
	By     string `json:"by"`
	Loader bool   `json:"loader,omitempty"`
	Env    string `json:"env,omitempty"`
	// Units are the recipe's, so that what a unit does is known by its number.
	Units string `json:"units"`
}

// maker makes the programs of one toolkit.
type maker struct {
	version, letter string // "12.4", "b"
	release         string // "nvcc 12.4.131"
	nvcc, ccbin     string
	out, objects    string

	mu    sync.Mutex
	built map[string]*sync.Once
	errs  map[string]error
}

var releaseLine = regexp.MustCompile(`V(\d+\.\d+\.\d+)`)

func newMaker(ctx context.Context, version, nvcc, ccbin, out string) (*maker, error) {
	m := &maker{version: version, letter: letters[version], nvcc: nvcc, ccbin: ccbin, out: filepath.Join(out, version),
		objects: filepath.Join(out, ".objects", version), built: map[string]*sync.Once{}, errs: map[string]error{}}
	if m.letter == "" {
		return nil, fmt.Errorf("the table has no programs of CUDA %s", version)
	}
	text, err := exec.CommandContext(ctx, nvcc, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w", nvcc, err)
	}
	found := releaseLine.FindStringSubmatch(string(text))
	if found == nil || !strings.HasPrefix(found[1], version+".") {
		return nil, fmt.Errorf("%s is not nvcc %s: %s", nvcc, version, text)
	}
	m.release = "nvcc " + found[1]
	for _, dir := range []string{filepath.Join(m.out, "alone"), m.objects} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if m.objects, err = filepath.Abs(m.objects); err != nil {
		return nil, err
	}
	return m, nil
}

// all makes every program of the table and writes the list. What could not be
// made is said, and fails at the end.
func (m *maker) all(ctx context.Context, only string, jobs int) error {
	for name, text := range map[string]string{"unit.cu": unitSource, "main.c": mainSource} {
		if err := os.WriteFile(filepath.Join(m.objects, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	main, loader := filepath.Join(m.objects, "main.c"), filepath.Join(m.out, "loader")
	if err := command(ctx, "gcc", "-O1", "-c", main, "-o", filepath.Join(m.objects, "main.o")); err != nil {
		return err
	}
	if err := command(ctx, "gcc", "-O1", "-DLOADER", main, "-o", loader, "-ldl"); err != nil {
		return err
	}
	var list []program
	var missed []error
	g := new(errgroup.Group)
	g.SetLimit(jobs)
	for _, r := range table() {
		if !strings.Contains(r.on, m.letter) || only != "" && !strings.Contains(r.name, only) {
			continue
		}
		g.Go(func() error {
			p, err := m.one(ctx, r)
			m.mu.Lock()
			defer m.mu.Unlock()
			if err != nil {
				missed = append(missed, fmt.Errorf("%s %s: %w", m.version, r.name, err))
				return nil
			}
			list = append(list, p)
			return nil
		})
	}
	_ = g.Wait()
	sortPrograms(list)
	data, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(m.out, "cases.json"), append(data, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %d programs, %d could not be made\n", m.release, len(list), len(missed))
	return errors.Join(missed...)
}

// one makes one program.
func (m *maker) one(ctx context.Context, r recipe) (program, error) {
	o := optionsOf(r.options)
	p := program{Name: m.version + "/" + r.name, File: r.name, How: r.how(), By: m.release, Loader: o.so, Env: r.env, Units: r.units}
	if o.so {
		p.File += ".so"
	}
	if o.alone {
		p.File = "alone/" + p.File
	}
	out := filepath.Join(m.out, p.File)
	made := filepath.Join(m.objects, r.name+".made")
	if key, err := os.ReadFile(made); err == nil && string(key) == m.key(r) {
		if _, err := os.Stat(out); err == nil {
			return p, nil
		}
	}
	var objects, link []string
	rdc := false
	for i, u := range strings.Fields(r.units) {
		kind, images, _ := strings.Cut(u, ":")
		object, err := m.object(ctx, i, kind, images, o)
		if err != nil {
			return p, err
		}
		objects = append(objects, object)
		if strings.ContainsAny(kind, "rh+") {
			rdc = true
			link = gencode(images, true)
		}
	}
	if !o.so {
		objects = append(objects, filepath.Join(m.objects, "main.o"))
	}
	if err := m.link(ctx, out, objects, link, rdc, o); err != nil {
		return p, err
	}
	if o.shared {
		if err := m.runtime(); err != nil {
			return p, err
		}
	}
	if r.patches != "" {
		if err := patchFile(out, r.patches); err != nil {
			return p, err
		}
	}
	return p, os.WriteFile(made, []byte(m.key(r)), 0o644)
}

// key is what a program is made of: one that was made of the same is left alone.
func (m *maker) key(r recipe) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{unitSource, mainSource, m.release, m.ccbin, r.units, r.options, r.patches}, "\x00")))
	return hex.EncodeToString(sum[:])
}

// options of a recipe.
type options struct {
	compress                    string
	so, shared, alone, gcc, lto bool
	stub                        string
}

func optionsOf(s string) options {
	var o options
	for _, f := range strings.Fields(s) {
		switch f {
		case "so":
			o.so = true
		case "shared":
			o.shared = true
		case "alone": // away from the copy of cudart
			o.alone = true
		case "gcc": // linked without nvcc: no device linker
			o.gcc = true
		case "lto":
			o.lto = true
		default:
			if sm, ok := strings.CutPrefix(f, "stub="); ok {
				o.stub = sm
			} else {
				o.compress = f
			}
		}
	}
	return o
}

// compression are nvcc's flags for how images are stored.
func (m *maker) compression(kind string) []string {
	if m.version == "13.0" {
		switch kind {
		case "":
			return nil
		case "plain":
			kind = "none"
		case "packed":
			kind = "size"
		}
		return []string{"--compress-mode=" + kind}
	}
	all := []string{"-Xfatbin", "-compress-all"}
	switch kind {
	case "plain":
		return []string{"-Xfatbin", "-compress=false"}
	case "lz4", "packed":
		return all
	case "zlib":
		return append(all, "-Xfatbin", "--compress-algorithm=1")
	case "lz4-frame":
		return append(all, "-Xfatbin", "--compress-algorithm=3")
	case "zstd":
		return append(all, "-Xfatbin", "--compress-algorithm=5")
	}
	return nil
}

// gencode are nvcc's flags for images. The device linker is asked for code only.
func gencode(images string, link bool) []string {
	var flags []string
	for _, image := range strings.Split(images, ",") {
		sm := image[1:]
		kind := map[byte]string{'s': "sm", 'p': "compute", 'l': "lto"}[image[0]]
		if link && kind == "lto" {
			kind = "sm"
		}
		flags = append(flags, "-gencode", "arch=compute_"+sm+",code="+kind+"_"+sm)
	}
	return flags
}

var kinds = map[string][]string{"k": {"KERNEL"}, "k+": {"KERNEL"}, "v": {"VARIABLE"}, "c": {"CONSTANT"}, "n": {"NOTHING"}, "r": {"CALLER"}, "h": {"HELPER"}}

// object compiles one unit, once.
func (m *maker) object(ctx context.Context, index int, kind, images string, o options) (string, error) {
	define, ok := kinds[kind]
	if !ok {
		return "", fmt.Errorf("the table has a unit of kind %q", kind)
	}
	args := []string{"-Wno-deprecated-gpu-targets", "-Xcompiler", "-fPIC", fmt.Sprintf("-DUNIT=%d", index), "-D" + define[0], "-c", filepath.Join(m.objects, "unit.cu")}
	args = append(append(args, gencode(images, false)...), m.compression(o.compress)...)
	if strings.ContainsAny(kind, "rh+") {
		args = append(args, "-rdc=true")
	}
	key := sha256.Sum256([]byte(unitSource + m.release + strings.Join(args, " ")))
	object := filepath.Join(m.objects, hex.EncodeToString(key[:8])+".o")
	m.mu.Lock()
	once := m.built[object]
	if once == nil {
		once = new(sync.Once)
		m.built[object] = once
	}
	m.mu.Unlock()
	once.Do(func() {
		err := error(nil)
		if _, there := os.Stat(object); there != nil {
			if err = m.run(ctx, append(args, "-o", object+".new.o")...); err == nil {
				err = os.Rename(object+".new.o", object)
			}
		}
		m.mu.Lock()
		m.errs[object] = err
		m.mu.Unlock()
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	return object, m.errs[object]
}

// link makes the program or shared object.
func (m *maker) link(ctx context.Context, out string, objects, images []string, rdc bool, o options) error {
	lib := filepath.Join(filepath.Dir(filepath.Dir(m.nvcc)), "lib64")
	if o.gcc {
		return command(ctx, "g++", append(objects, "-o", out, "-L"+lib, "-lcudart_static", "-ldl", "-lrt", "-lpthread")...)
	}
	args := append([]string{"-Wno-deprecated-gpu-targets"}, objects...)
	switch {
	case rdc:
		args = append(append(args, "-rdc=true"), images...)
		args = append(args, m.compression(o.compress)...)
	case o.stub != "":
		args = append(args, gencode("s"+o.stub, true)...)
	}
	if o.lto {
		args = append(args, "-dlto")
	}
	if o.so {
		args = append(args, "-shared")
	}
	if o.shared {
		args = append(args, "-cudart", "shared", "-Xlinker", "-rpath=$ORIGIN", "-Xlinker", "--enable-new-dtags")
	}
	return m.run(ctx, append(args, "-o", out)...)
}

// runtime puts the toolkit's shared cudart beside the programs.
func (m *maker) runtime() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	soname := map[string]string{"11.8": "libcudart.so.11.0", "12.4": "libcudart.so.12", "13.0": "libcudart.so.13"}[m.version]
	to := filepath.Join(m.out, soname)
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(m.nvcc)), "lib64", soname))
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

func (m *maker) run(ctx context.Context, args ...string) error {
	if m.ccbin != "" {
		args = append([]string{"-ccbin", m.ccbin}, args...)
	}
	return command(ctx, m.nvcc, args...)
}

// command runs a compiler; its words are the error. Each has a folder of its own
// for what it leaves between its steps.
func command(ctx context.Context, name string, args ...string) error {
	tmp, err := os.MkdirTemp("", "oracle-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(os.Environ(), "TMPDIR="+tmp)
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, strings.TrimSpace(string(text)))
	}
	return nil
}

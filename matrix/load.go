package matrix

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Matrix is a checked cuda.yaml.
type Matrix struct {
	file     string
	source   SourceID
	platform text
	build    build
	systems  map[string]*system
	toolkits map[string]*toolkit
	cpu      *toolkit
	cells    []*cell
	promises []*promise
}

type build struct {
	targets, expect, expectCUDA []text
	cmake, cmakeCUDA            []text
	env                         map[string]text
	// runtime are the forms for cells that name none; runtimeCalls what a lean one has.
	runtime, runtimeCalls []text
}

type system struct {
	name     text
	glibc    text
	packages []text
	prepare  text
}

// toolkit is an image to build in; the cpu block is one without a version.
type toolkit struct {
	version   text
	image     text
	system    text
	packages  []text
	sms       []text
	refuse    map[string]text
	minDriver text
	cmake     []text
	env       map[string]text
	standIn   map[string]text
	// standInGlibc is what files made in a stand-in may ask for at most.
	standInGlibc text
	optional     bool
}

type cell struct {
	line     int
	id       text
	toolkit  text
	platform text
	sms, ptx []text
	faster   []text
	runtime  []text
	role     text
	optional bool
}

type promise struct {
	line                     int
	cc, driver, until, glibc text
}

// Load reads and checks a matrix. name is used in messages only. The error
// joins one *Error for each thing that is wrong, in the order of the lines.
func Load(name string, data []byte) (*Matrix, error) {
	w := &walker{file: name}
	root, ok := w.parse(data)
	if !ok {
		return nil, w.err()
	}
	m := &Matrix{file: name, systems: map[string]*system{}, toolkits: map[string]*toolkit{}}
	m.read(w, root)
	m.check(w)
	if err := w.err(); err != nil {
		return nil, err
	}
	return m, nil
}

func (w *walker) parse(data []byte) (*yaml.Node, bool) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			w.fail(1, "the matrix is empty")
		} else {
			w.syntax(err)
		}
		return nil, false
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		w.fail(second.Line, "a second YAML document; a matrix is one")
		return nil, false
	} else if !errors.Is(err, io.EOF) {
		w.syntax(err)
		return nil, false
	}
	if len(doc.Content) != 1 {
		w.fail(1, "the matrix is empty")
		return nil, false
	}
	return doc.Content[0], true
}

func (m *Matrix) read(w *walker, root *yaml.Node) {
	m.platform = text{"", root.Line}
	w.mapping(root, "the matrix", fields{
		"schema": func(_ text, n *yaml.Node) {
			if s := w.str(n, "schema"); s.S != "" && s.S != "1" {
				w.fail(n.Line, "schema %s is not known here: update llcuda-build", s.S)
			}
		},
		"source": func(_ text, n *yaml.Node) {
			w.mapping(n, "source", fields{
				"url": func(_ text, n *yaml.Node) { m.source.URL = w.str(n, "source.url").S },
				"ref": func(_ text, n *yaml.Node) { m.source.Ref = w.str(n, "source.ref").S },
			}, "url", "ref")
		},
		"platform": func(_ text, n *yaml.Node) { m.platform = w.str(n, "platform") },
		"build":    func(_ text, n *yaml.Node) { m.readBuild(w, n) },
		"systems": func(_ text, n *yaml.Node) {
			w.pairs(n, "systems", func(k text, n *yaml.Node) { m.systems[k.S] = readSystem(w, k, n) })
		},
		"toolkits": func(_ text, n *yaml.Node) {
			w.pairs(n, "toolkits", func(k text, n *yaml.Node) {
				m.toolkits[k.S] = readToolkit(w, fmt.Sprintf("toolkit %q", k.S), k, n)
			})
		},
		"cpu": func(k text, n *yaml.Node) { m.cpu = readToolkit(w, "cpu", text{"", k.Line}, n) },
		"cells": func(_ text, n *yaml.Node) {
			w.list(n, "cells", func(n *yaml.Node) { m.cells = append(m.cells, readCell(w, n)) })
		},
		"promise": func(_ text, n *yaml.Node) {
			w.list(n, "promise", func(n *yaml.Node) { m.promises = append(m.promises, readPromise(w, n)) })
		},
	}, "schema", "source", "platform", "build", "systems", "toolkits", "cells", "promise")
}

func (m *Matrix) readBuild(w *walker, n *yaml.Node) {
	b := &m.build
	w.mapping(n, "build", fields{
		"targets":       func(_ text, n *yaml.Node) { b.targets = w.strs(n, "build.targets") },
		"cmake":         func(_ text, n *yaml.Node) { b.cmake = w.strs(n, "build.cmake") },
		"cmake_cuda":    func(_ text, n *yaml.Node) { b.cmakeCUDA = w.strs(n, "build.cmake_cuda") },
		"expect":        func(_ text, n *yaml.Node) { b.expect = w.strs(n, "build.expect") },
		"expect_cuda":   func(_ text, n *yaml.Node) { b.expectCUDA = w.strs(n, "build.expect_cuda") },
		"env":           func(_ text, n *yaml.Node) { b.env = readEnv(w, n, "build.env") },
		"runtime":       func(_ text, n *yaml.Node) { b.runtime = w.strs(n, "build.runtime") },
		"runtime_calls": func(_ text, n *yaml.Node) { b.runtimeCalls = w.strs(n, "build.runtime_calls") },
	}, "targets", "cmake", "expect")
}

func readSystem(w *walker, name text, n *yaml.Node) *system {
	s := &system{name: name}
	what := fmt.Sprintf("system %q", name.S)
	w.mapping(n, what, fields{
		"glibc":    func(_ text, n *yaml.Node) { s.glibc = w.str(n, what+": glibc") },
		"packages": func(_ text, n *yaml.Node) { s.packages = w.strs(n, what+": packages") },
		"prepare":  func(_ text, n *yaml.Node) { s.prepare = w.str(n, what+": prepare") },
	}, "glibc", "prepare")
	return s
}

func readToolkit(w *walker, what string, version text, n *yaml.Node) *toolkit {
	t := &toolkit{version: version}
	f := fields{
		"image":    func(_ text, n *yaml.Node) { t.image = w.str(n, what+": image") },
		"system":   func(_ text, n *yaml.Node) { t.system = w.str(n, what+": system") },
		"packages": func(_ text, n *yaml.Node) { t.packages = w.strs(n, what+": packages") },
		"cmake":    func(_ text, n *yaml.Node) { t.cmake = w.strs(n, what+": cmake") },
		"env":      func(_ text, n *yaml.Node) { t.env = readEnv(w, n, what+": env") },
		"stand_in": func(_ text, n *yaml.Node) {
			w.mapping(n, what+": stand_in", fields{
				"env":   func(_ text, n *yaml.Node) { t.standIn = readEnv(w, n, what+": stand_in.env") },
				"glibc": func(_ text, n *yaml.Node) { t.standInGlibc = w.str(n, what+": stand_in.glibc") },
			}, "env")
		},
	}
	required := []string{"image", "system", "env"}
	if version.S != "" {
		f["sms"] = func(_ text, n *yaml.Node) { t.sms = w.strs(n, what+": sms") }
		f["min_driver"] = func(_ text, n *yaml.Node) { t.minDriver = w.str(n, what+": min_driver") }
		f["optional"] = func(_ text, n *yaml.Node) { t.optional = w.boolean(n, what+": optional") }
		f["refuse"] = func(_ text, n *yaml.Node) { t.refuse = readRefuse(w, n, what+": refuse") }
		required = append(required, "sms", "min_driver")
	}
	w.mapping(n, what, f, required...)
	return t
}

func readRefuse(w *walker, n *yaml.Node, what string) map[string]text {
	out := map[string]text{}
	w.list(n, what, func(n *yaml.Node) {
		var sm, reason text
		w.mapping(n, "an item of "+what, fields{
			"sm":     func(_ text, n *yaml.Node) { sm = w.str(n, what+".sm") },
			"reason": func(_ text, n *yaml.Node) { reason = w.str(n, what+".reason") },
		}, "sm", "reason")
		if _, twice := out[sm.S]; twice && sm.S != "" {
			w.fail(sm.Line, "%s has %q twice", what, sm.S)
		}
		out[sm.S] = reason
	})
	return out
}

func readEnv(w *walker, n *yaml.Node, what string) map[string]text {
	out := map[string]text{}
	w.pairs(n, what, func(k text, n *yaml.Node) {
		if !envName.MatchString(k.S) {
			w.fail(k.Line, "%s: %q is no name of an environment variable", what, k.S)
		}
		if v := w.str(n, what+": "+k.S); v.S != "" {
			out[k.S] = v
		}
	})
	return out
}

func readCell(w *walker, n *yaml.Node) *cell {
	c := &cell{line: n.Line, id: text{"", n.Line}}
	w.mapping(n, "a cell", fields{
		"id":       func(_ text, n *yaml.Node) { c.id = w.str(n, "a cell's id") },
		"toolkit":  func(_ text, n *yaml.Node) { c.toolkit = w.str(n, "a cell's toolkit") },
		"platform": func(_ text, n *yaml.Node) { c.platform = w.str(n, "a cell's platform") },
		"sms":      func(_ text, n *yaml.Node) { c.sms = w.strs(n, "sms") },
		"ptx":      func(_ text, n *yaml.Node) { c.ptx = w.strs(n, "ptx") },
		"faster":   func(_ text, n *yaml.Node) { c.faster = w.strs(n, "faster") },
		"runtime":  func(_ text, n *yaml.Node) { c.runtime = w.strs(n, "runtime") },
		"role":     func(_ text, n *yaml.Node) { c.role = w.str(n, "a cell's role") },
		"optional": func(_ text, n *yaml.Node) { c.optional = w.boolean(n, "a cell's optional") },
	}, "id")
	return c
}

func readPromise(w *walker, n *yaml.Node) *promise {
	p := &promise{line: n.Line}
	w.mapping(n, "a promise", fields{
		"cc":     func(_ text, n *yaml.Node) { p.cc = w.str(n, "a promise's cc") },
		"driver": func(_ text, n *yaml.Node) { p.driver = w.str(n, "a promise's driver") },
		"until":  func(_ text, n *yaml.Node) { p.until = w.str(n, "a promise's until") },
		"glibc":  func(_ text, n *yaml.Node) { p.glibc = w.str(n, "a promise's glibc") },
	}, "cc", "driver", "glibc")
	return p
}

// Source is the tree to build where `--source` names none: URL and Ref are set.
func (m *Matrix) Source() SourceID { return m.source }

// Cells are the cells that a plain build makes, in the matrix's order. Optional
// cells, and those of an optional toolkit, are left out; Cell finds them by name.
func (m *Matrix) Cells() []Cell { return m.list(false) }

// AllCells are all cells, the optional ones included.
func (m *Matrix) AllCells() []Cell { return m.list(true) }

func (m *Matrix) list(optional bool) []Cell {
	var out []Cell
	for _, c := range m.cells {
		if optional || !m.isOptional(c) {
			out = append(out, m.public(c))
		}
	}
	return out
}

func (m *Matrix) isOptional(c *cell) bool {
	t := m.toolkits[c.toolkit.S]
	return c.optional || t != nil && t.optional
}

// Cell finds a cell by its id.
func (m *Matrix) Cell(id string) (Cell, error) {
	ids := make([]string, 0, len(m.cells))
	for _, c := range m.cells {
		if c.id.S == id {
			return m.public(c), nil
		}
		ids = append(ids, c.id.S)
	}
	return Cell{}, &UnknownCellError{ID: id, Known: ids}
}

// UnknownCellError says that a matrix has no such cell, and which it has.
type UnknownCellError struct {
	ID    string
	Known []string
}

func (e *UnknownCellError) Error() string { return fmt.Sprintf("the matrix has no cell %q", e.ID) }

// Hint names the cells that are there.
func (e *UnknownCellError) Hint() string { return "cells: " + strings.Join(e.Known, " ") }

// ExitCode is that of wrong usage.
func (e *UnknownCellError) ExitCode() int { return 2 }

func (m *Matrix) public(c *cell) Cell {
	t := m.toolkitOf(c)
	platform := c.platform.S
	if platform == "" {
		platform = m.platform.S
	}
	return Cell{ID: c.id.S, Toolkit: c.toolkit.S, Image: t.image.S, Platform: platform,
		SMs: plain(c.sms), PTX: plain(c.ptx), Faster: faster(c.faster), Runtime: m.runtimeOf(c), Role: c.role.S, Glibc: m.systems[t.system.S].glibc.S}
}

// faster is nil where a cell marks nothing.
func faster(sms []text) []string {
	if len(sms) == 0 {
		return nil
	}
	return plain(sms)
}

// toolkitOf is the block a cell is built with; the cpu block where it names none.
func (m *Matrix) toolkitOf(c *cell) *toolkit {
	if c.toolkit.S == "" {
		return m.cpu
	}
	return m.toolkits[c.toolkit.S]
}

// Toolkits are the names that `--image NAME=REF` may use: versions and "cpu".
func (m *Matrix) Toolkits() []string {
	var out []string
	for v := range m.toolkits {
		out = append(out, v)
	}
	sort.Strings(out)
	if m.cpu != nil {
		out = append(out, imageCPU)
	}
	return out
}

// imageCPU names the cpu block in PlanOptions.ImageFor.
const imageCPU = "cpu"

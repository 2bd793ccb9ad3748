package matrix_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/matrix"
)

// small is a matrix without a fault. Each test changes lines of it.
const small = `schema: 1
source: {url: https://example.com/l, ref: v1}
platform: linux/amd64
build:
  targets: [llama-server]
  cmake: [-DA=1]
  expect: [libllama.so.0]
systems:
  old: {glibc: "2.28", prepare: "true"}
toolkits:
  "12.4.1":
    image: nvidia/cuda:12.4.1-devel-rockylinux8
    system: old
    sms: ["75", "86", "90"]
    refuse:
      - {sm: "90", reason: it does not compile}
    min_driver: "525.60.13"
    env: {CC: gcc, CXX: g++}
cpu:
  image: debian:bullseye-slim
  system: old
  env: {CC: gcc, CXX: g++}
cells:
  - id: one
    toolkit: "12.4.1"
    sms: ["75"]
  - id: two
    toolkit: "12.4.1"
    sms: ["86"]
    ptx: ["75"]
promise:
  - {cc: "7.5", driver: "525.60.13", glibc: "2.28"}
`

// with replaces line n of small.
func with(n int, line string) string {
	lines := strings.Split(small, "\n")
	lines[n-1] = line
	return strings.Join(lines, "\n")
}

func TestLoadNamesWhatIsWrongAndWhere(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		want string
	}{
		"nothing at all":                       {"", "m.yaml:1: the matrix is empty"},
		"only a comment":                       {"# soon\n", "m.yaml:1: the matrix is empty"},
		"no YAML":                              {"schema: 1\n\tcells: []\n", "m.yaml:2: not YAML"},
		"two documents":                        {small + "---\nschema: 1\n", "m.yaml:33: a second YAML document"},
		"another schema":                       {with(1, "schema: 2"), "m.yaml:1: schema 2 is not known here"},
		"unknown key at the top":               {with(3, "platfrom: linux/amd64"), `m.yaml:3: the matrix has no key "platfrom"; it knows build, cells`},
		"unknown key in a cell":                {with(26, `    sm: ["75"]`), `m.yaml:26: a cell has no key "sm"; it knows faster, id, optional, platform`},
		"unknown key in a toolkit":             {with(17, `    driver: "525.60.13"`), `m.yaml:17: toolkit "12.4.1" has no key "driver"`},
		"missing ref":                          {with(2, "source: {url: https://example.com/l}"), `m.yaml:2: source lacks "ref"`},
		"empty ref":                            {with(2, `source: {url: https://example.com/l, ref: ""}`), `m.yaml:2: source.ref is empty`},
		"bad platform":                         {with(3, "platform: windows/amd64"), `m.yaml:3: platform "windows/amd64" cannot be built; known: linux/amd64`},
		"missing image":                        {with(12, ""), `m.yaml:13: toolkit "12.4.1" lacks "image"`},
		"an image that is none":                {with(12, "    image: NVIDIA cuda"), `m.yaml:12: toolkit "12.4.1": "NVIDIA cuda" is no image reference`},
		"a system that is not described":       {with(13, "    system: older"), `m.yaml:13: toolkit "12.4.1": system "older" is not described; known: old`},
		"a toolkit without its patch number":   {with(11, `  "12.4":`), `m.yaml:11: toolkit "12.4": a toolkit is named by its full version`},
		"unknown toolkit":                      {with(25, `    toolkit: "12.9.0"`), `m.yaml:25: cell "one": toolkit "12.9.0" is not described; known: 12.4.1`},
		"an SM the toolkit cannot compile":     {with(26, `    sms: ["100"]`), `m.yaml:26: cell "one": toolkit 12.4.1 cannot compile SM 100; it compiles 75 86 90`},
		"an SM llama.cpp cannot compile there": {with(26, `    sms: ["90"]`), `m.yaml:26: cell "one": SM 90 with toolkit 12.4.1: it does not compile`},
		"an SM that is none":                   {with(26, `    sms: ["sm_75"]`), `m.yaml:26: "sm_75" is no SM; write 75 or 90a`},
		"a plain 12X":                          {with(26, `    sms: ["120"]`), `m.yaml:26: cell "one": llama.cpp turns SM 120 into 120a; write 120a`},
		"PTX for a target not in the list":     {with(30, `    ptx: ["80"]`), `m.yaml:30: cell "two": toolkit 12.4.1 cannot compile PTX target 80`},
		"faster on an SM that is not there":    {with(26, `    sms: ["75"]`+"\n"+`    faster: ["86"]`), `m.yaml:27: cell "one" marks SM 86 as faster and has no machine code for it`},
		"duplicate SM":                         {with(26, `    sms: ["75", 75]`), `m.yaml:26: sms has "75" twice`},
		"duplicate id":                         {with(27, "  - id: one"), `m.yaml:27: cell id "one" is taken in line 24`},
		"an id that is no file name":           {with(24, "  - id: One/1"), `m.yaml:24: cell id "One/1": use lower-case letters`},
		"an id that starts with a dot":         {with(24, "  - id: .one"), `m.yaml:24: cell id ".one"`},
		"a toolkit and no SM":                  {with(26, ""), `m.yaml:24: cell "one" has a toolkit and no sms`},
		"an SM and no toolkit":                 {with(25, ""), `m.yaml:26: cell "one" has SM 75 and no toolkit to compile it`},
		"a key twice":                          {with(6, "  targets: [x]"), `m.yaml:6: build has "targets" twice`},
		"a word where a list belongs":          {with(26, `    sms: "75"`), `m.yaml:26: sms must be a list, not "75"`},
		"a list where a word belongs":          {with(24, "  - id: [one]"), `m.yaml:24: a cell's id must be a word, not a list`},
		"an alias":                             {with(26, "    sms: *x"), `m.yaml:1: not YAML: unknown anchor 'x' referenced`},
		"an argument of another form":          {with(6, "  cmake: [-GNinja]"), `m.yaml:6: "-GNinja" is not of the form -DNAME=VALUE`},
		"an argument given twice":              {with(6, "  cmake: [-DA=1, -DA=2]"), `m.yaml:6: A is set already in line 6`},
		"an argument that the plan owns":       {with(6, "  cmake: [-DCMAKE_CUDA_ARCHITECTURES=native]"), `m.yaml:6: CMAKE_CUDA_ARCHITECTURES is set by the plan, not here`},
		"no compiler":                          {with(18, "    env: {CC: gcc}"), `m.yaml:11: toolkit "12.4.1": env lacks CXX`},
		"a path that climbs":                   {with(7, "  expect: [../x]"), `m.yaml:7: "../x" is no name of a file in a bundle`},
		"a refused SM not in the list":         {with(16, `      - {sm: "91", reason: x}`), `m.yaml:16: toolkit "12.4.1" refuses SM 91, which is not among its sms`},
		"a promise no cell serves":             {with(32, `  - {cc: "9.0", driver: "525.60.13", glibc: "2.28"}`), `m.yaml:32: 9.0 is promised, and no cell has machine code that runs on it`},
		"a promise through PTX only":           {with(32, `  - {cc: "7.0", driver: "525.60.13", glibc: "2.28"}`), `m.yaml:32: 7.0 is promised, and no cell has machine code`},
		"a promise for an older driver":        {with(32, `  - {cc: "7.5", driver: "520.56.06", glibc: "2.28"}`), `m.yaml:32: 7.5 is promised from driver 520.56.06 and glibc 2.28 on, and no cell keeps that: one needs driver 525.60.13`},
		"a promise for an older glibc":         {with(32, `  - {cc: "7.5", driver: "525.60.13", glibc: "2.17"}`), `one needs glibc 2.28`},
		"a promise that ends before it begins": {with(32, `  - {cc: "7.5", driver: "525.60.13", until: "58", glibc: "2.28"}`), `m.yaml:32: promise for 7.5: it ends with branch 58, before driver 525.60.13`},
		"a promise for a wrong cc":             {with(32, `  - {cc: "75", driver: "525.60.13", glibc: "2.28"}`), `m.yaml:32: "75" is no compute capability; write 7.5`},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := matrix.Load("m.yaml", []byte(c.yaml))
			if err == nil {
				t.Fatal("no error")
			}
			if m != nil {
				t.Error("a matrix with faults was returned")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got:\n%v\nwant among it:\n%s", err, c.want)
			}
		})
	}
}

func TestCompressionMustBeChosenFrom128On(t *testing.T) {
	at := func(version, cmake string) error {
		y := strings.ReplaceAll(small, "12.4.1", version)
		y = strings.Replace(y, "    system: old\n    sms", "    system: old\n"+cmake+"    sms", 1)
		_, err := matrix.Load("m.yaml", []byte(y))
		return err
	}
	const mode = "    cmake: [-DGGML_CUDA_COMPRESSION_MODE=none]\n"
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"12.8.1 without it": {at("12.8.1", ""), "m.yaml:11: toolkit \"12.8.1\" must set GGML_CUDA_COMPRESSION_MODE"},
		"12.4.1 with it":    {at("12.4.1", mode), "m.yaml:14: GGML_CUDA_COMPRESSION_MODE acts from toolkit 12.8 on, and this is 12.4.1"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, c.err, c.want)
		}
	}
	if err := at("12.8.1", mode); err != nil {
		t.Errorf("12.8.1 with it: %v", err)
	}
}

func TestSmallMatrixHasNoFault(t *testing.T) {
	if _, err := matrix.Load("m.yaml", []byte(small)); err != nil {
		t.Fatal(err)
	}
}

func TestAToolkitThatNoCellUsesMustBeOptional(t *testing.T) {
	unused := strings.Split(small, "cells:")[0] + "cells:\n  - id: cpu\npromise: []\n"
	_, err := matrix.Load("m.yaml", []byte(unused))
	if err == nil || !strings.Contains(err.Error(), `m.yaml:11: no cell uses toolkit "12.4.1"`) {
		t.Errorf("got %v", err)
	}
	if _, err := matrix.Load("m.yaml", []byte(strings.Replace(unused, "    system: old\n    sms", "    system: old\n    optional: true\n    sms", 1))); err != nil {
		t.Errorf("optional: %v", err)
	}
}

func TestLoadTellsAllFaultsAtOnceInOrder(t *testing.T) {
	y := with(3, "platform: mars/sol")
	y = strings.Replace(y, `sms: ["86"]`, `sms: ["87", "88"]`, 1)
	y = strings.Replace(y, "- id: one", "- id: ONE", 1)
	_, err := matrix.Load("m.yaml", []byte(y))
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("got %v", err)
	}
	var lines []int
	for _, e := range joined.Unwrap() {
		var one *matrix.Error
		if !errors.As(e, &one) || one.File != "m.yaml" || one.Msg == "" {
			t.Fatalf("%#v is no matrix.Error of m.yaml", e)
		}
		lines = append(lines, one.Line)
	}
	if want := []int{3, 24, 29, 29}; !slices.Equal(lines, want) {
		t.Errorf("faults in lines %v, want %v:\n%v", lines, want, err)
	}
}

// Whatever Load accepts can be planned, and whatever it refuses it explains
// with a line that exists.
func FuzzLoad(f *testing.F) {
	f.Add(matrix.Default())
	f.Add([]byte(small))
	f.Add([]byte("cells: [&a {id: *a}]"))
	f.Add([]byte("a: &x\n  <<: *x\n"))
	f.Add([]byte("cells:\n  - {id: null, sms: {}}\n"))
	f.Add([]byte("\xff\xfe"))
	for i := range strings.Split(small, "\n") {
		f.Add([]byte(with(i+1, "")))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := matrix.Load("f", data)
		if err != nil {
			joined, ok := err.(interface{ Unwrap() []error })
			if !ok || m != nil {
				t.Fatalf("%T with matrix %v", err, m)
			}
			last := strings.Count(strings.ReplaceAll(string(data), "\r", "\n"), "\n") + 1
			for _, e := range joined.Unwrap() {
				var one *matrix.Error
				if !errors.As(e, &one) {
					t.Fatalf("%#v", e)
				}
				if one.Line < 1 || one.Line > last+1 {
					t.Fatalf("line %d of %d: %s", one.Line, last, one.Msg)
				}
			}
			return
		}
		for _, c := range m.AllCells() {
			p, err := m.Plan(c, options())
			if err != nil {
				t.Fatalf("planning %s: %v", c.ID, err)
			}
			if fmt.Sprint(p.Cell.SMs) != fmt.Sprint(c.SMs) || p.Key == "" {
				t.Fatalf("the plan of %s is of another cell", c.ID)
			}
		}
	})
}

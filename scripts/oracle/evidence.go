package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// evidence is oracle.json: what was predicted and what the driver did.
type evidence struct {
	Schema int    `json:"schema"`
	Date   string `json:"date"`
	Device string `json:"device"`
	Driver string `json:"driver"`
	Commit string `json:"commit"`
	// Judged is the commit of the rules that the predictions were made again by, "" where
	// they are those of Commit.
	Judged string `json:"judged,omitempty"`
	// Host is what llcuda-run doctor said of the machine.
	Host  facts.Host `json:"host"`
	Cases []result   `json:"cases"`
}

// result is one program.
type result struct {
	Name string `json:"name"`
	// How it was made, By which compiler, and the Env it was judged and started with.
	How       string     `json:"how"`
	By        string     `json:"by"`
	Env       string     `json:"env,omitempty"`
	Predicted prediction `json:"predicted"`
	// Actual is the first CUDA error of a plain start, 0 for none; nil where the
	// program did not get as far, with Exit what it ended with.
	Actual *int   `json:"actual"`
	Error  string `json:"error,omitempty"`
	Exit   int    `json:"exit,omitempty"`
	Agree  bool   `json:"agree"`
	// Why says what does not agree.
	Why   string `json:"why,omitempty"`
	Units []unit `json:"units,omitempty"`
}

// prediction is why's verdict and the CUDA error that its first reason names.
type prediction struct {
	Verdict   string `json:"verdict"`
	CUDAError int    `json:"cuda_error,omitempty"`
	Code      string `json:"code,omitempty"`
}

// unit is what one unit of a program met: CUDA errors of the three starts.
type unit struct {
	Unit  int    `json:"unit"`
	Plain int    `json:"plain"`
	At    string `json:"at,omitempty"` // the call that failed
	// NoJIT is with CUDA_DISABLE_PTX_JIT=1 CUDA_CACHE_DISABLE=1, Forced with CUDA_FORCE_PTX_JIT=1.
	NoJIT  int `json:"no_jit"`
	Forced int `json:"forced"`
	// Ran is the target of the code that ran, as compiled (800 for sm_80 and
	// compute_80): of the plain start, and of the forced one.
	Ran       int `json:"ran,omitempty"`
	RanForced int `json:"ran_forced,omitempty"`
}

// said is the error by the name that it has for kernels: of a variable whose unit
// has no image cudart 11.8 says 400 (invalid resource handle), where 13.0 says 209.
func (u unit) said() int {
	if u.Plain == 400 && u.At == "to-symbol" {
		return 209
	}
	return u.Plain
}

// judge fills Actual, Agree and Why of a result from its units.
func (r *result) judge() {
	r.Actual, r.Error, r.Why = nil, "", ""
	failed, codes := 0, map[int]bool{}
	nojit := map[int]bool{}
	for _, u := range r.Units {
		if r.Actual == nil || *r.Actual == 0 {
			code := u.Plain
			r.Actual = &code
		}
		if u.Plain != 0 {
			failed++
			codes[u.said()] = true
		}
		nojit[u.NoJIT] = true
	}
	switch p := r.Predicted; {
	case (p.Verdict == facts.VerdictNative || p.Verdict == facts.VerdictCPU) && r.Actual == nil && r.Exit == 0: // it defines nothing
	case p.Verdict == facts.VerdictRefused && r.Actual == nil:
		if r.Exit == 0 || p.CUDAError != 0 {
			r.Why = fmt.Sprintf("the program ended with %d", r.Exit)
		}
	case r.Actual == nil:
		r.Why = fmt.Sprintf("the program did not start: exit %d", r.Exit)
	case p.Verdict == facts.VerdictRefused && failed == 0:
		r.Why = "it ran"
	case p.Verdict == facts.VerdictRefused && !codes[p.CUDAError]:
		r.Why = fmt.Sprintf("another error: %d", *r.Actual)
	case p.Verdict == facts.VerdictRefused: // with the error that was named
	case failed > 0:
		r.Why = fmt.Sprintf("it failed: %d", *r.Actual)
	case p.Verdict == facts.VerdictNative && (len(nojit) != 1 || !nojit[0]):
		r.Why = "the driver compiled PTX"
	case p.Verdict == facts.VerdictJIT && !nojit[223]:
		r.Why = "no PTX was compiled"
	case p.Verdict != facts.VerdictNative && p.Verdict != facts.VerdictJIT:
		r.Why = "nothing was predicted"
	}
	r.Agree = r.Why == ""
}

// write puts oracle.json, the facts of the files, and a table into a folder.
func (e *evidence) write(dir string, files map[string]facts.File) error {
	data, err := lines(e)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "oracle.json"), data, 0o644); err != nil {
		return err
	}
	if data, err = factLines(files, e.Cases); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "oracle-facts.json"), data, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "oracle.txt"), e.table(), 0o644)
}

// lines is the document with one case a line, so that a change shows as one.
func lines(e *evidence) ([]byte, error) {
	head := *e
	head.Cases = nil
	b, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	b = bytes.TrimSuffix(b, []byte(`null}`))
	out := bytes.NewBuffer(append(b, "[\n"...))
	for i, c := range e.Cases {
		line, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		out.Write(line)
		if i < len(e.Cases)-1 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
	}
	out.WriteString("]}\n")
	return out.Bytes(), nil
}

// factLines are the facts that a verdict rests on, one file a line.
func factLines(files map[string]facts.File, cases []result) ([]byte, error) {
	out := bytes.NewBufferString("{\"schema\":1,\"files\":[\n")
	for i, c := range cases {
		f, ok := files[c.Name]
		if !ok {
			continue
		}
		line, err := json.Marshal(f)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteString(",\n")
		}
		out.Write(line)
	}
	out.WriteString("\n]}\n")
	return out.Bytes(), nil
}

// essential is a file's facts without what no verdict on a GPU rests on.
func essential(f facts.File, name string) facts.File {
	g := facts.File{Path: name, Size: f.Size}
	if f.ELF != nil {
		g.ELF = &facts.ELF{Runpath: f.ELF.Runpath, BuildPaths: []string{}}
		for _, n := range f.ELF.Needs {
			if n.By == facts.ByCUDA || n.By == facts.ByBundle {
				g.ELF.Needed, g.ELF.Needs = append(g.ELF.Needed, n.Soname), append(g.ELF.Needs, n)
			}
		}
	}
	if f.Device != nil {
		d := *f.Device
		d.SASS, d.PTX, d.List, d.Ignored = []facts.Target{}, []facts.Target{}, nil, nil
		g.Device = &d
	}
	return g
}

// table is the evidence for people.
func (e *evidence) table() []byte {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	agreed := 0
	for _, c := range e.Cases {
		if c.Agree {
			agreed++
		}
	}
	fmt.Fprintf(w, "%s, driver %s (CUDA %s), %s, commit %s: %d of %d programs did what %s predicts\n\n",
		e.Device, e.Driver, cuda(e.Host), e.Date, e.Commit, agreed, len(e.Cases), cmp.Or(e.Judged, e.Commit))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROGRAM\tPREDICTED\tERROR\tPLAIN\tNO JIT\tFORCED\tRAN\tMADE OF\t")
	for _, c := range e.Cases {
		predicted := ""
		if c.Predicted.CUDAError != 0 {
			predicted = fmt.Sprint(c.Predicted.CUDAError)
		}
		plain, nojit, forced, ran := "", "", "", ""
		for i, u := range c.Units {
			sep := " "
			if i == 0 {
				sep = ""
			}
			plain += fmt.Sprintf("%s%d", sep, u.Plain)
			nojit += fmt.Sprintf("%s%d", sep, u.NoJIT)
			forced += fmt.Sprintf("%s%d", sep, u.Forced)
			ran += fmt.Sprintf("%s%d", sep, u.Ran)
		}
		if c.Exit != 0 {
			plain = fmt.Sprintf("exit %d", c.Exit)
		}
		differs := ""
		if !c.Agree {
			differs = "!!! " + c.Why
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Name, c.Predicted.Verdict, predicted, plain, nojit, forced, ran, c.How, differs)
	}
	t.Flush()
	_ = w.Flush() // into memory
	lines := bytes.Split(b.Bytes(), []byte("\n"))
	for i := range lines {
		lines[i] = bytes.TrimRight(lines[i], " ")
	}
	return bytes.Join(lines, []byte("\n"))
}

func cuda(h facts.Host) string {
	if h.Driver == nil {
		return "unknown"
	}
	return h.Driver.CUDA
}

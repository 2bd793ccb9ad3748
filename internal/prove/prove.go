package prove

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waqasm86/llcuda/internal/gguf"
	"github.com/waqasm86/llcuda/internal/serve"
)

// Version is this proof's: another model, question or tolerance is another one,
// and what was proved before is proved again.
const Version = 1

// Input of Run.
type Input struct {
	Bundle string
	// Server says how the bundle's server is started here: Dir, LibDirs,
	// DriverDir, Env and Log. What the proof is about it sets itself.
	Server serve.Options
	// Devices are the GPUs to prove; none is the CPU.
	Devices []Device
	// Native forbids the driver to compile.
	Native bool
	// Reference is what the CPU answers, where that is known; else it is asked.
	Reference *serve.Answer
	// TempDir is for the model; "" is the system's.
	TempDir string
}

// Device is a GPU.
type Device struct {
	Index int    `json:"index"`
	UUID  string `json:"uuid,omitempty"`
	Name  string `json:"name,omitempty"`
	CC    string `json:"cc,omitempty"`
	// Select is what CUDA_VISIBLE_DEVICES shows it by; "" leaves that as it is.
	Select string `json:"-"`
}

// Title names a device for people.
func (d Device) Title() string {
	switch {
	case d.Index < 0 && d.Name == "":
		return "the CPU"
	case d.Index < 0:
		return d.Name
	case d.Name == "":
		return fmt.Sprintf("GPU %d", d.Index)
	}
	return fmt.Sprintf("GPU %d (%s)", d.Index, d.Name)
}

// Report is what a proof saw.
type Report struct {
	Version int  `json:"version"`
	Passed  bool `json:"passed"`
	// Native says that the driver's compiler was forbidden.
	Native bool `json:"native"`
	// Env is what was put into the servers' environment for it.
	Env       []string       `json:"env"`
	Model     Model          `json:"model"`
	Tolerance float64        `json:"tolerance"`
	Devices   []DeviceReport `json:"devices"`
	// Seconds is the whole proof's time.
	Seconds float64 `json:"seconds"`
	// Reference is the CPU's answer; it is kept apart from the report.
	Reference *serve.Answer `json:"-"`
}

// Model is the one that was used.
type Model struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Bytes  int    `json:"bytes"`
}

// DeviceReport is what one device did.
type DeviceReport struct {
	Device
	Passed bool `json:"passed"`
	// Used is the device by the server's own word: "CUDA0 (Tesla T4)".
	Used string `json:"used,omitempty"`
	// Offloaded of Layers were on it, with MiB of weights.
	Offloaded int     `json:"offloaded"`
	Layers    int     `json:"layers"`
	MiB       float64 `json:"weights_mib,omitempty"`
	// Compared tokens differed by at most MaxDifference.
	Compared      int     `json:"compared"`
	MaxDifference float64 `json:"max_difference"`
	Text          string  `json:"text,omitempty"`
	// Tokens were read and written, at so many a second by the server's clock.
	PromptTokens    int     `json:"prompt_tokens,omitempty"`
	PromptPerSecond float64 `json:"prompt_per_second,omitempty"`
	Tokens          int     `json:"tokens,omitempty"`
	PerSecond       float64 `json:"per_second,omitempty"`
	// Ready is the time until the server answered at all, Seconds until it was gone.
	Ready   float64  `json:"ready_seconds"`
	Seconds float64  `json:"seconds"`
	Failure *Failure `json:"failure,omitempty"`
}

const (
	// atOnce is how many servers run at one time: each holds some hundred MB of
	// the host's memory.
	atOnce = 8
	// patience bounds one server's proof. Where the driver compiles it takes
	// minutes, for all kernels of llama.cpp up to a quarter of an hour.
	patience, patienceJIT = 2 * time.Minute, 20 * time.Minute
	// deathTime is how long a server that broke an answer off may take to end; it
	// may write a core file first.
	deathTime = 20 * time.Second
)

// Run proves a bundle. A proof that failed is a report that did not pass; the
// error is for what kept it from being made: ctx, or a folder that cannot be
// written.
func Run(ctx context.Context, in Input) (Report, error) {
	began := time.Now()
	r := Report{Version: Version, Native: in.Native && len(in.Devices) > 0, Tolerance: Tolerance, Reference: in.Reference}
	dir, err := os.MkdirTemp(in.TempDir, "llcuda-proof-")
	if err != nil {
		return r, fmt.Errorf("making a folder for the proof: %w", err)
	}
	defer os.RemoveAll(dir)
	model := filepath.Join(dir, "proof.gguf")
	if r.Model, err = writeModel(model); err != nil {
		return r, err
	}
	var env []string
	env, r.Env = proofEnv(in.Server.Env, r.Native)
	start := in.Server
	start.Model, start.Host, start.Port, start.WorkDir, start.Env = model, serve.DefaultHost, 0, dir, env
	start.Stdout, start.Stderr = nil, nil
	// One slot, the model's context, every layer; no fitting into free memory,
	// which is not what is asked.
	start.Args = []string{"-c", "512", "-np", "1", "-t", "1", "--no-warmup"}

	limit := patience
	if len(in.Devices) > 0 && !in.Native {
		limit = patienceJIT
	}
	one := func(d Device, o serve.Options) (DeviceReport, serve.Answer) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return onDevice(ctx, d, o)
	}
	hidden := start
	hidden.WantGPU, hidden.HideGPUs, hidden.GPUs = false, true, nil
	var cpu DeviceReport
	var cpuAnswer serve.Answer
	answers := make([]serve.Answer, len(in.Devices))
	r.Devices = make([]DeviceReport, len(in.Devices))
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	run := func(f func()) {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			f()
		})
	}
	if in.Reference == nil || len(in.Devices) == 0 {
		run(func() { cpu, cpuAnswer = one(Device{Index: -1}, hidden) })
	}
	for i, d := range in.Devices {
		o := start
		o.WantGPU, o.HideGPUs = true, false
		o.Args = append(slices.Clone(o.Args), "-ngl", "99")
		if d.Select != "" {
			o.GPUs = []string{d.Select}
		}
		run(func() { r.Devices[i], answers[i] = one(d, o) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return r, fmt.Errorf("proving bundle %s: %w", in.Bundle, context.Cause(ctx))
	}
	r.judge(in, cpu, cpuAnswer, answers)
	r.Seconds = time.Since(began).Seconds()
	return r, nil
}

// judge holds the answers against each other.
func (r *Report) judge(in Input, cpu DeviceReport, cpuAnswer serve.Answer, answers []serve.Answer) {
	if len(in.Devices) == 0 {
		if cpu.Failure == nil {
			cpu.hold(written, cpuAnswer, "what was written down")
			r.Reference = &cpuAnswer
		}
		r.Devices, r.Passed = []DeviceReport{cpu}, cpu.Failure == nil
		return
	}
	if r.Reference == nil && cpu.Failure == nil {
		r.Reference = &cpuAnswer
	}
	r.Passed = true
	for i := range r.Devices {
		d := &r.Devices[i]
		switch {
		case d.Failure != nil:
		case r.Reference == nil:
			d.Failure = cpu.Failure
			d.Failure.Text = "it answered on the GPU, and on the CPU, where that was to be compared, it did not: " + d.Failure.Text
		default:
			d.hold(*r.Reference, answers[i], "the CPU's")
		}
		d.Passed = d.Failure == nil
		r.Passed = r.Passed && d.Passed
	}
}

// hold compares an answer with the one it should be.
func (d *DeviceReport) hold(want, got serve.Answer, whose string) {
	diff := compare(want, got)
	d.Compared, d.MaxDifference = diff.Tokens, diff.Max
	d.Failure = diff.right(whose)
	d.Passed = d.Failure == nil
}

// tries is how often a server is started that dies of a CUDA error without a word
// which: it is printed by another thread than the one that aborts.
const tries = 4

// onDevice asks a server once, and again where it died before it said of what.
func onDevice(ctx context.Context, d Device, o serve.Options) (r DeviceReport, a serve.Answer) {
	for range tries {
		r, a = once(ctx, d, o)
		if r.Failure == nil || r.Failure.Code != serve.CodeUntold || ctx.Err() != nil {
			break
		}
	}
	return r, a
}

// once starts a server, asks it once and ends it.
func once(ctx context.Context, d Device, o serve.Options) (r DeviceReport, a serve.Answer) {
	began := time.Now()
	r.Device = d
	defer func() { r.Seconds = time.Since(began).Seconds() }()
	server, err := serve.Start(ctx, o)
	if err != nil {
		r.Failure = failureOf(err)
		return r, a
	}
	defer func() { _ = server.Stop(ctx) }() // it is killed at the latest when ctx ends
	r.Ready = time.Since(began).Seconds()
	a, err = server.Ask(ctx, question)
	if brokenOff(err) && ctx.Err() == nil {
		// A CUDA error ends the server: its last words tell more than the
		// connection that it broke.
		if died := server.Died(deathTime); died != nil {
			err = died
		}
	}
	b := server.Backends()
	r.read(b)
	if err != nil {
		r.Failure = failureOf(err)
		return r, a
	}
	r.PromptTokens, r.PromptPerSecond, r.Tokens, r.PerSecond = a.PromptTokens, a.PromptPerSecond, len(a.Tokens), a.PerSecond
	for _, t := range a.Tokens {
		r.Text += t.Text
	}
	if o.WantGPU {
		r.Failure = onGPU(b)
	}
	return r, a
}

// brokenOff says that no answer came, not even one that says what is wrong.
func brokenOff(err error) bool {
	var transport *url.Error
	return errors.As(err, &transport) || errors.Is(err, io.ErrUnexpectedEOF)
}

// read takes what a server did with its devices.
func (r *DeviceReport) read(b serve.Backends) {
	r.Offloaded, r.Layers = b.Offloaded, b.Layers
	var used []string
	for _, g := range b.GPUs() {
		used = append(used, fmt.Sprintf("%s (%s)", g.Name, g.Description))
		for _, w := range b.Buffers {
			if w.Place == g.Name {
				r.MiB += w.MiB
			}
		}
	}
	r.Used = strings.Join(used, ", ")
}

// onGPU refuses a server that left something on the CPU. That some layers are on
// a GPU was seen to at its start.
func onGPU(b serve.Backends) *Failure {
	if b.Offloaded < b.Layers {
		return &Failure{Code: CodeLayers, Text: fmt.Sprintf("only %d of %d layers went to the GPU", b.Offloaded, b.Layers),
			Fix: "free its memory (nvidia-smi shows who uses it), and run: llcuda-run selftest"}
	}
	return nil
}

// writeModel writes the proof's model.
func writeModel(path string) (Model, error) {
	o := gguf.ProofModel()
	var b bytes.Buffer
	if err := gguf.Tiny(&b, o); err != nil {
		return Model{}, err
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return Model{}, fmt.Errorf("writing the proof's model: %w", err)
	}
	sum := sha256.Sum256(b.Bytes())
	return Model{Name: o.Name, SHA256: hex.EncodeToString(sum[:]), Bytes: b.Len()}, nil
}

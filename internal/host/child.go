package host

import (
	"encoding/json"
	"fmt"
	"io"
)

// Kinds of questions to a child.
const (
	askNVML    = "nvml"
	askLibcuda = "libcuda"
	// askDevices starts libcuda (cuInit) and lists its devices: dearer, and asked
	// only where NVML does not answer. It creates no context.
	askDevices = "devices"
)

// question is what a child reads on its standard input.
type question struct {
	Ask string `json:"ask"`
	// Path is the library to load, on this machine.
	Path string `json:"path"`
}

// answer is what a child writes to its standard output.
type answer struct {
	// Error says why there is no more; Code is CUDA's or NVML's number for it.
	Error string `json:"error,omitempty"`
	Code  int    `json:"code,omitempty"`
	// Driver is the version of the loaded kernel module (NVML only).
	Driver string `json:"driver,omitempty"`
	// CUDA is 1000*major + 10*minor.
	CUDA int         `json:"cuda,omitempty"`
	GPUs []gpuAnswer `json:"gpus,omitempty"`
}

// gpuAnswer is one GPU. Unknown maps a field to why it is not known.
type gpuAnswer struct {
	Name   string   `json:"name,omitempty"`
	CC     string   `json:"cc,omitempty"`
	UUID   string   `json:"uuid,omitempty"`
	PCI    string   `json:"pci,omitempty"`
	Memory int64    `json:"memory,omitempty"`
	MIG    bool     `json:"mig,omitempty"`
	MIGs   []string `json:"migs,omitempty"`
	// Idle marks a GPU with MIG on and no instance: no CUDA program sees it.
	Idle    bool              `json:"idle,omitempty"`
	Unknown map[string]string `json:"unknown,omitempty"`
}

// Probe is the child's side: it reads one question from in, loads the driver
// library it names, and writes one answer to out. The process that calls it may
// crash or hang in NVIDIA's code: call it in a process made for it, nowhere
// else, and end that process afterwards.
func Probe(in io.Reader, out io.Writer) error {
	var q question
	if err := json.NewDecoder(in).Decode(&q); err != nil {
		return fmt.Errorf("reading the question: %w", err)
	}
	var a answer
	switch q.Ask {
	case askNVML:
		a = loadNVML(q.Path)
	case askLibcuda:
		a = loadLibcuda(q.Path, false)
	case askDevices:
		a = loadLibcuda(q.Path, true)
	default:
		return fmt.Errorf("unknown question %q", q.Ask)
	}
	return json.NewEncoder(out).Encode(a)
}

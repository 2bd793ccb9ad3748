package serve

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// Diagnosis is why a server failed, told from its own words. The zero value says
// that nothing was recognised.
type Diagnosis struct {
	// Code is one of facts' reason codes where there is one, else one of the
	// codes below. It is stable.
	Code string
	// CUDAError is the CUDA error's number, 0 where it is none.
	CUDAError int
	// Text is one sentence without an end.
	Text string
	// Fix is what to do, "" where nothing is known.
	Fix string
	// Line is the line of the log that was recognised.
	Line string
}

// Codes of diagnoses that facts has no reason for.
const (
	CodeOutOfGPUMemory = "out-of-gpu-memory"
	CodeOutOfMemory    = "out-of-memory"
	CodePortTaken      = "port-taken"
	CodeModelDamaged   = "model-damaged"
	CodeModelUnknown   = "model-unsupported"
	CodeModelMissing   = "model-missing"
	CodeArgument       = "bad-argument"
	CodeNoBackend      = "no-backend"
	CodeBackend        = "backend-not-loaded"
	CodeCUDA           = "cuda-error"
	CodeUntold         = "cuda-error-untold"
	CodeModel          = "model-not-loaded"
	CodeAssertion      = "assertion"
	CodeSignal         = "signal"
)

// Diagnose explains the lines of a failed server's log. Rules are tried in order,
// the most telling first: the first that knows any line decides.
func Diagnose(lines []string) Diagnosis {
	for _, r := range rules {
		for _, raw := range lines {
			line := plain(raw)
			if m := r.match.FindStringSubmatch(line); m != nil {
				d := r.tell(m)
				d.Line = line
				if d.Code == CodeOutOfGPUMemory {
					d.Fix = adviceOf(lines) + d.Fix
				}
				return d
			}
		}
	}
	return Diagnosis{}
}

type rule struct {
	match *lazyregexp.Regexp
	tell  func(m []string) Diagnosis
}

// fixMemory is what helps against a full GPU.
const fixMemory = "put fewer layers on the GPU (-- -ngl N), ask for a shorter context (-- -c 4096), or take a smaller quantisation; nvidia-smi shows who else uses its memory"

var rules = []rule{
	// What ld.so says when the program does not even start.
	{lazyregexp.New(`error while loading shared libraries: ([^:]+): (.*)$`), func(m []string) Diagnosis {
		return missingLibrary(m[1], m[2])
	}},
	{lazyregexp.New("version [`']((GLIBC|GLIBCXX|CXXABI)_([0-9.]+))' not found"), func(m []string) Diagnosis {
		d := Diagnosis{Code: facts.GlibcTooOld, Text: fmt.Sprintf("this system's C library is too old: the server needs %s", m[1]),
			Fix: "use a bundle built for an older system (llcuda-run why), or a newer system"}
		if m[2] != "GLIBC" {
			d.Code, d.Text = facts.LibstdcxxTooOld, fmt.Sprintf("this system's C++ library is too old: the server needs %s", m[1])
		}
		return d
	}},
	{lazyregexp.New(`symbol lookup error: ([^:]+): (.*)$`), func(m []string) Diagnosis {
		return Diagnosis{Code: facts.MissingLibrary, Text: fmt.Sprintf("%s does not fit the libraries it found: %s", m[1], m[2]), Fix: fixReinstall}
	}},
	// CUDA, where a device is out of memory: cudaMalloc, or a buffer on it.
	{lazyregexp.New(`cudaMalloc failed: out of memory|` + cudaPrefix + `out of memory|(?:unable to allocate|failed to allocate) (CUDA[0-9]+)(?:_Split)? buffer`), func(m []string) Diagnosis {
		return Diagnosis{Code: CodeOutOfGPUMemory, CUDAError: 2, Text: "the model and its context do not fit into the GPU's free memory", Fix: fixMemory}
	}},
	{lazyregexp.New(cudaPrefix + `(CUBLAS_STATUS_[A-Z_]+)`), func(m []string) Diagnosis { return cublasError(m[1]) }},
	{lazyregexp.New(cudaPrefix + `(.+)$`), func(m []string) Diagnosis { return cudaError(m[1]) }},
	// llama.cpp logs a CUDA error from another thread than the one that aborts: which
	// error it was may never be printed, this always is (seen on an H100).
	{lazyregexp.New(`(ggml-cuda\S*:[0-9]+): CUDA error$`), func(m []string) Diagnosis {
		return Diagnosis{Code: CodeUntold, Text: fmt.Sprintf("a CUDA call failed at %s, and the server ended before it said with which error", m[1]),
			Fix: "run it again: it says so more often than not; -v shows all of its log"}
	}},
	{lazyregexp.New(`couldn't bind HTTP server socket, hostname: (.*), port: ([0-9]+)`), func(m []string) Diagnosis {
		return Diagnosis{Code: CodePortTaken, Text: fmt.Sprintf("port %s of %s is taken by another program, or may not be used", m[2], m[1]),
			Fix: "choose another port, or 0 for a free one (--port 0); `ss -ltnp` names the program"}
	}},
	// The command line.
	{lazyregexp.New(`error: invalid argument: (.*)$`), func(m []string) Diagnosis {
		d := Diagnosis{Code: CodeArgument, Text: fmt.Sprintf("llama-server knows no argument %s", m[1]), Fix: "its arguments are listed by: llcuda-run serve MODEL -- --help"}
		if flag, value, ok := strings.Cut(m[1], "="); ok {
			d.Fix = fmt.Sprintf("llama-server wants the value apart: %s %s", flag, value)
		}
		return d
	}},
	{lazyregexp.New(`error while handling (argument|environment variable) "([^"]*)": (.*)$`), func(m []string) Diagnosis {
		why := m[3]
		switch why {
		case "stoi", "stof", "stod", "stol", "stoul", "stoll", "stoull": // what C++'s conversions throw
			why = "its value is not a number"
		}
		return Diagnosis{Code: CodeArgument, Text: fmt.Sprintf("llama-server refuses the %s %s: %s", m[1], m[2], why),
			Fix: "its arguments are listed by: llcuda-run serve MODEL -- --help"}
	}},
	{lazyregexp.New(`init: (--port 0 is not supported with multiple TCP addresses)`), func(m []string) Diagnosis {
		return Diagnosis{Code: CodeArgument, Text: "llama-server cannot choose a port for several addresses", Fix: "give the port: -- --port 8080"}
	}},
	// The model.
	{lazyregexp.New(`failed to open GGUF file '(.*)' \((.*)\)`), func(m []string) Diagnosis {
		return Diagnosis{Code: CodeModelMissing, Text: fmt.Sprintf("the model %s cannot be opened: %s", m[1], m[2]), Fix: "check the path"}
	}},
	{lazyregexp.New(`(tensor '.*' data is not within the file bounds|invalid magic characters: .*|failed to read (?:magic|header|key-value pairs|tensor info|tensor data.*)|invalid split file.*|wrong number of tensors.*|found tensors with invalid data)`), func(m []string) Diagnosis {
		return Diagnosis{Code: CodeModelDamaged, Text: "the model file is damaged or incomplete: " + strings.TrimSuffix(m[1], ", expected 'GGUF'"),
			Fix: "download the model again and compare its size with its page"}
	}},
	{lazyregexp.New(`(?:unknown|unsupported) model architecture: '(.*)'`), func(m []string) Diagnosis {
		return Diagnosis{Code: CodeModelUnknown, Text: fmt.Sprintf("this llama.cpp does not know models of the architecture %q", m[1]),
			Fix: "take a newer release (llcuda-run pull), or another model"}
	}},
	{lazyregexp.New(`error loading model(?: \w+)?: (.*(?:missing tensor|key not found in model|wrong shape|invalid ggml type|unknown pre-tokenizer|error loading model vocabulary).*)$`), func(m []string) Diagnosis {
		return Diagnosis{Code: CodeModelUnknown, Text: "this llama.cpp cannot load the model: " + m[1],
			Fix: "take a newer release (llcuda-run pull), or download the model again"}
	}},
	// Memory of the host.
	{lazyregexp.New(`failed to allocate (\S+) buffer of size|unable to allocate (\S+) buffer|failed to allocate buffer for kv cache|std::bad_alloc|failed to allocate compute`), func(m []string) Diagnosis {
		return Diagnosis{Code: CodeOutOfMemory, Text: "there is not enough memory for the model and its context",
			Fix: "ask for a shorter context (-- -c 4096), or take a smaller quantisation"}
	}},
	{lazyregexp.New(`no backends are loaded`), func([]string) Diagnosis {
		return Diagnosis{Code: CodeNoBackend, Text: "the server found none of its backends (libggml-cpu-*.so, libggml-cuda.so) beside it", Fix: fixReinstall}
	}},
	{lazyregexp.New(`load_backend: failed to load (\S+): (.*)$`), func(m []string) Diagnosis {
		why := strings.TrimPrefix(m[2], m[1]+": ")
		if lib, rest, ok := strings.Cut(why, ": "); ok && strings.HasPrefix(rest, "cannot open shared object file") {
			d := missingLibrary(lib, rest)
			d.Text = "the GPU backend does not load: " + d.Text
			return d
		}
		return Diagnosis{Code: CodeBackend, Text: "the GPU backend does not load: " + why, Fix: fixReinstall}
	}},
	{lazyregexp.New(`(\S+:[0-9]+): (GGML_ASSERT\(.*\) failed)`), func(m []string) Diagnosis {
		return Diagnosis{Code: CodeAssertion, Text: fmt.Sprintf("a check inside llama.cpp failed: %s at %s", m[2], m[1]),
			Fix: "try without extra arguments; else report the last lines to llama.cpp"}
	}},
	{lazyregexp.New(`error loading model: (.*)$`), func(m []string) Diagnosis {
		return Diagnosis{Code: CodeModel, Text: "the model did not load: " + m[1]}
	}},
}

// fixReinstall is for a bundle that is not what was installed.
const fixReinstall = "install the bundle again: llcuda-run rm BUNDLE, then llcuda-run pull"

// missingLibrary explains a library that the loader did not find, by name.
func missingLibrary(lib, why string) Diagnosis {
	d := Diagnosis{Code: facts.MissingLibrary, Text: fmt.Sprintf("the library %s is missing", lib), Fix: fixReinstall}
	switch {
	case !strings.HasPrefix(why, "cannot open shared object file"):
		d.Text = fmt.Sprintf("the library %s cannot be used: %s", lib, why)
	case strings.HasPrefix(lib, "libcuda.so") || strings.HasPrefix(lib, "libnvidia-"):
		d.Code = facts.NoDriver
		d.Text = fmt.Sprintf("NVIDIA's driver library %s is missing", lib)
		d.Fix = "install the NVIDIA driver; in a container, start it with access to the GPU (docker run --gpus all)"
	case strings.HasPrefix(lib, "libgomp.so"):
		d.Fix = "install it: apt install libgomp1, or dnf install libgomp"
	case strings.HasPrefix(lib, "libstdc++.so"):
		d.Fix = "install it: apt install libstdc++6, or dnf install libstdc++"
	}
	return d
}

// bySignal explains a death that left no words.
func bySignal(sig syscall.Signal) Diagnosis {
	switch sig {
	case syscall.SIGILL:
		return Diagnosis{Code: facts.CPUISA, Text: "this CPU lacks an instruction that the server uses", Fix: "use a bundle built for older CPUs; `llcuda-run doctor` shows what this one has"}
	case syscall.SIGKILL:
		return Diagnosis{Code: CodeOutOfMemory, Text: "it was killed from outside, most often because memory ran out", Fix: "look into `dmesg`; take a smaller model or context (-- -c 4096)"}
	case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGABRT, syscall.SIGFPE:
		return Diagnosis{Code: CodeSignal, Text: fmt.Sprintf("it crashed (%v)", sig), Fix: "its last lines are shown with -v; report them to llama.cpp"}
	default:
		return Diagnosis{Code: CodeSignal, Text: fmt.Sprintf("it was ended by a signal (%v)", sig)}
	}
}

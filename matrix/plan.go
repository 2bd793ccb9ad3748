package matrix

// Cell is one line of the matrix: a toolkit image × a platform × a set of SMs.
// One cell makes one bundle.
type Cell struct {
	ID string `json:"id"`
	// Toolkit is the CUDA version, "11.8.0"; empty for the cpu cell.
	Toolkit string `json:"toolkit,omitempty"`
	// Image is the reference the matrix names.
	Image    string `json:"image"`
	Platform string `json:"platform"`
	// SMs are compiled to machine code; suffixes are kept ("120a").
	SMs []string `json:"sms"`
	// PTX are targets whose PTX rides along.
	PTX []string `json:"ptx"`
	// Faster are those of SMs on which the toolkit was measured to be faster than
	// an older one: the runner then takes it before fewer bytes.
	Faster []string `json:"faster,omitempty"`
	// Runtime are the forms in which a bundle gets its CUDA runtime, best first:
	// "host", "lean", "stock". Empty for a cell without a toolkit.
	Runtime []string `json:"runtime,omitempty"`
	// Role says in a few words what the cell is for.
	Role string `json:"role,omitempty"`
	// Glibc is that of the image's system, as the matrix states it: what the
	// finished files ask for must not be newer.
	Glibc string `json:"glibc,omitempty"`
}

// Dirs are the folders a plan works in, absolute.
type Dirs struct {
	// Source is read only.
	Source string
	// Build is scratch.
	Build string
	// Out receives the finished, flat folder of the app part.
	Out string
	// Cache is ccache's folder; speed only.
	Cache string
	// From is where the tree is in a draft, read only: Source is then a copy of it,
	// which is kept until the next draft, as Build is. "" otherwise.
	From string `json:",omitempty"`
}

// Files of the container where Plan.Reuse is set.
const (
	ReuseLog = "/llcuda/reused.txt"
	// AddressesFile has one word, AddressesRandom or "fixed".
	AddressesFile = "/llcuda/addresses.txt"
)

// AddressesRandom says that nothing keeps nvcc's memory where it lay the last time: it
// may make other machine code of the same source.
const AddressesRandom = "random"

// StepBuild is the name of the step that compiles.
const StepBuild = "build"

// Step is one command of a plan.
type Step struct {
	// Name is "prepare", "record", "configure", "build", "install", "notices" or
	// "witness".
	Name string `json:"name"`
	// Args is an argv, never a line for a shell to split.
	Args []string `json:"args"`
}

// Plan is everything needed to build one cell, and no more: a pure function of
// the matrix, the cell, the folders and the source's identity. The Dagger
// builder and the host builder run the same steps.
type Plan struct {
	Cell Cell `json:"cell"`
	// Image is what is pulled: the cell's image, or what --image put in its place.
	Image string `json:"image"`
	// StandIn marks an image that --image put in place of the matrix's.
	StandIn bool `json:"stand_in,omitempty"`
	Dirs    Dirs `json:"-"`
	// Env are sorted "KEY=VALUE" pairs for every step.
	Env []string `json:"env"`
	// Prepare makes the image fit to build in: its own cached layer. The host
	// builder does not run it.
	Prepare []Step `json:"prepare"`
	// Steps are record, configure, build, install and, with a toolkit, notices
	// and witness.
	Steps []Step `json:"steps"`
	// CMake are the arguments of the configure step, folders left out.
	CMake []string `json:"cmake"`
	// ToolsFile is written by the record step: one "key=value" line for each
	// tool, keys such as "cxx", "nvcc", "libc". What has no line is not known.
	ToolsFile string `json:"-"`
	// WitnessFile is written by the witness step of a cell with a toolkit: what
	// cuobjdump lists of the finished files. "" where there is no such step.
	WitnessFile string `json:"-"`
	// Expect are the files that must be in Out, with forward slashes.
	Expect []string `json:"expect"`
	// Draft marks a plan that works in folders kept from the last draft. Its steps may
	// then not be remembered by their inputs: "build" configures, builds and installs.
	Draft bool `json:"draft,omitempty"`
	// Reuse says that prepare has put reuse-tool.sh before cicc and ptxas, which writes
	// a line to ReuseLog for each of their runs where LLCUDA_REUSE_LOG says so, and has
	// written AddressesFile.
	Reuse bool `json:"reuse,omitempty"`
	// Fixture marks a source that is this project's own test fixture.
	Fixture bool `json:"fixture,omitempty"`
	// Key is "sha256:…" over source, image, flags and tool: two plans with one
	// key make the same bytes.
	Key string `json:"key"`
}

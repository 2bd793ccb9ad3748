// Package wire is what llcuda-build and llcuda-engine say to each other: the JSON
// values of package sibling's protocol, whose version changes with them.
package wire

import (
	"time"

	"github.com/waqasm86/llcuda/matrix"
)

// Commands of llcuda-engine: its one argument.
const (
	CommandBuild  = "build"
	CommandDigest = "digest"
)

// Connect comes first of a build: the child connects to the engine, and says so or
// why not before it is told what to build.
type Connect struct {
	// Stall is how long connecting may be silent.
	Stall time.Duration `json:"stall"`
}

// Build is one cell's work.
type Build struct {
	Plan        matrix.Plan `json:"plan"`
	Dirs        matrix.Dirs `json:"dirs"`
	ToolsFile   string      `json:"tools_file"`
	WitnessFile string      `json:"witness_file"`
	// Source is a folder of this machine; Exclude are patterns of what does not
	// belong to it.
	Source  string   `json:"source"`
	Exclude []string `json:"exclude"`
	// Out is where the finished folder is written; it does not exist.
	Out string `json:"out"`
	// Fresh, where it is not empty, keeps the results of earlier builds out, see ci.Job.
	Fresh string `json:"fresh,omitempty"`
	// Ccache, where it is set, is done in place of the plan's steps.
	Ccache *Ccache `json:"ccache,omitempty"`
}

// Ccache carries the compiler cache of the plan's image to or from a tar.
type Ccache struct {
	// Save and Load name the tar; one of them is set.
	Save string `json:"save,omitempty"`
	Load string `json:"load,omitempty"`
	// MaxSize is what Save keeps of it, as ccache writes sizes ("1G").
	MaxSize string `json:"max_size,omitempty"`
}

// Event is one piece of news; one of its fields is set.
type Event struct {
	Connected bool   `json:"connected,omitempty"`
	Begin     *Begin `json:"begin,omitempty"`
	Line      *Line  `json:"line,omitempty"`
	// Note is for the log alone.
	Note   *string `json:"note,omitempty"`
	Done   *Done   `json:"done,omitempty"`
	Digest *Digest `json:"digest,omitempty"`
	// Failed ends a build, and says of an image that it has no digest.
	Failed *Failed `json:"failed,omitempty"`
}

// Begin says that a step begins.
type Begin struct {
	Step string   `json:"step"`
	Args []string `json:"args,omitempty"`
}

// Line is a line of a step's output; it may come when the step is over.
type Line struct {
	Step string `json:"step"`
	Text string `json:"text"`
}

// Done is a finished build: Out is there.
type Done struct {
	ImageDigest string `json:"image_digest"`
	// Tools and Witness are the texts of the plan's files.
	Tools   string `json:"tools"`
	Witness string `json:"witness"`
	// Reuse is a sentence, "" where nothing can be said.
	Reuse string `json:"reuse,omitempty"`
	// Random is what ci.Result says.
	Random bool `json:"random,omitempty"`
}

// Digests asks the registries.
type Digests struct {
	Images   []string `json:"images"`
	Platform string   `json:"platform"`
}

// Digest is one answer.
type Digest struct {
	Image  string `json:"image"`
	Digest string `json:"digest"`
}

// Kinds of Failed.
const (
	KindEngine = "engine" // no engine, or it went away
	KindImage  = "image"
	KindStep   = "step"
	KindOther  = "other"
)

// Failed is an error with what its reader needs to act on it.
type Failed struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	// Hint is the cure that the error names itself.
	Hint string `json:"hint,omitempty"`
	// Host is the engine's address, Image the image, of such errors.
	Host  string `json:"host,omitempty"`
	Image string `json:"image,omitempty"`
	// Of a step: its name, its exit code and the end of its output.
	Step     string   `json:"step,omitempty"`
	ExitCode int      `json:"exit_code,omitempty"`
	Output   []string `json:"output,omitempty"`
}

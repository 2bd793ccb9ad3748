// Package ci turns a matrix.Plan into a finished folder: it runs the plan's
// steps over a source tree and hands back what the install step left in
// plan.Dirs.Out.
//
// Two builders run the same steps. The Dagger builder (NewDagger) runs them in a
// container of plan.Image, after plan.Prepare; it is the one for releases. The host
// builder (NewHost) runs them on this machine, without plan.Prepare; it is for
// machines with a CUDA toolkit and no container engine.
//
// What needs the Dagger SDK lives in package ci/engine, in a program of its own
// that the Dagger builder starts (package sibling): one child for each build. The
// folder, the log and the verdict on a step are this process's.
//
// Both promise:
//   - Job.OutDir appears only when every step has succeeded, by one rename. A
//     build that fails, is cancelled or is killed leaves no half folder under
//     that name. What it left beside it (".llcuda-staging-…") is removed by the
//     next build beside it, unless a running build holds it.
//   - When the context ends, the steps' processes are stopped, with everything
//     they started, and the error wraps the context's.
//   - A failing step is a *StepError with the first failure that the tools
//     printed; the whole output is in Job.Log.
//   - Nothing goes to the terminal: progress is Job.Progress.
//
// The cache folder (ccache) is for speed only: without it the bytes are the same.
//
// The package trusts the plan, the image and the source: steps are programs that
// it runs. It does not look into what they made; package verify does.
package ci

import (
	"context"
	"io"
	"time"

	"github.com/waqasm86/llcuda/matrix"
)

// Builder builds cells. Build may be called by several goroutines at once, for
// different output folders.
type Builder interface {
	// Build runs p over o.SourceDir and returns the finished folder.
	Build(ctx context.Context, p matrix.Plan, o Job) (Result, error)
	// Close ends what the builder holds. No Build may be running.
	Close() error
}

// Job is what a build needs besides its plan.
type Job struct {
	// SourceDir is the source tree. The Dagger builder carries it, without .git
	// and build folders, to plan.Dirs.Source; for the host builder the two must
	// be the same folder. Nothing is written into it by the builders themselves.
	SourceDir string
	// OutDir is the finished folder. It must not exist.
	OutDir string
	// Fresh, where it is not empty, keeps the results of earlier builds out: no
	// ccache volume, and no step that the engine has cached unless a build with
	// the same Fresh made it. The host builder caches nothing by itself.
	Fresh string
	// Log takes the whole output of the cell; nil throws it away.
	Log io.Writer
	// Progress hears of every step and every line. Calls for one job come one
	// after the other; calls for several jobs may come at once. May be nil.
	Progress func(Event)
}

// Event is one piece of news of a running build.
type Event struct {
	// Cell is the cell's id.
	Cell string
	// Step is "connect", "image", "addresses", "prepare", the name of a step of the plan, or
	// "export". An event with an empty Line says that the step begins.
	Step string
	// Line is a line of output, without its end.
	Line string
	// Done and Total are the compilations done, of those known, in this step
	// (Ninja's "[12/458]"); both 0 where the step does not count.
	Done, Total int
	// Elapsed is the time since the build of this cell began.
	Elapsed time.Duration
}

// Result is a finished build.
type Result struct {
	// Dir is Job.OutDir.
	Dir string
	// ImageRef is the image that was asked for, ImageDigest ("sha256:…") what the
	// registry gave. Both empty from the host builder.
	ImageRef, ImageDigest string
	// Tools are the lines of plan.ToolsFile: "cxx" → the compiler's version line.
	// nil where the plan names no such file.
	Tools map[string]string
	// Witness is plan.WitnessFile as it was written; "" where the plan names none.
	Witness string
	// Reuse says how much device code came from earlier builds, other cells' among
	// them; "" where nothing is known.
	Reuse string
	// Random says that addresses in the container were random: nvcc may make other
	// machine code of the same source next time.
	Random bool
	// Timings are the steps in order, with the time each took here; a step that
	// the engine had cached takes next to none.
	Timings []Timing
}

// Timing is the time of one step.
type Timing struct {
	Step string        `json:"step"`
	Took time.Duration `json:"took"`
}

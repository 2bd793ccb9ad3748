package ci

import (
	"fmt"
	"strings"
)

// StepError says which step of a plan failed, and what its tools said.
type StepError struct {
	Cell, Step string
	// ExitCode is the step's; 128 + signal where a signal ended it.
	ExitCode int
	// Tail is where to look: up to 20 lines from the first failure that the tools
	// printed, or the last lines where none looks like one. Each line is cut to
	// a readable length; Job.Log has all of it.
	Tail []string
}

func (e *StepError) Error() string {
	if e.ExitCode < 0 {
		return fmt.Sprintf("cell %s: step %s was not run: the engine could not start its container, and its log says why", e.Cell, e.Step)
	}
	return fmt.Sprintf("cell %s: step %s failed with exit code %d", e.Cell, e.Step, e.ExitCode)
}

// EngineError says that no Dagger engine could be reached, or that it went away.
type EngineError struct {
	// Host is the engine's address where one was named.
	Host string
	Err  error
}

func (e *EngineError) Error() string {
	at := ""
	if e.Host != "" {
		at = " at " + e.Host
	}
	return fmt.Sprintf("no Dagger engine%s: %v", at, e.Err)
}

func (e *EngineError) Unwrap() error { return e.Err }

// Hint says how to get an engine.
func (e *EngineError) Hint() string {
	return "start Docker, or run `make engine` and set the variables that it prints; `--builder host` builds without containers"
}

// ImageError says that the engine could not get a plan's image.
type ImageError struct {
	Image string
	Err   error
}

func (e *ImageError) Error() string { return fmt.Sprintf("image %s: %v", e.Image, e.Err) }
func (e *ImageError) Unwrap() error { return e.Err }

// Hint names the way to another image.
func (e *ImageError) Hint() string {
	return "is its registry reachable? `--image TOOLKIT=REF` puts another image in its place"
}

// ToolError says that the host builder lacks programs.
type ToolError struct {
	// Tools are the programs, Packages the Debian or Ubuntu packages that have
	// them, without those that are not known.
	Tools, Packages []string
}

func (e *ToolError) Error() string {
	return "not on PATH: " + strings.Join(e.Tools, ", ")
}

// Hint says what to install.
func (e *ToolError) Hint() string {
	if len(e.Packages) == 0 {
		return "put " + strings.Join(e.Tools, ", ") + " on PATH"
	}
	return "apt-get install " + strings.Join(e.Packages, " ")
}

// OutputError says that Job.OutDir cannot be made.
type OutputError struct {
	Dir string
	// Busy is set where another build is making the folder now, otherwise the
	// folder is there already.
	Busy bool
}

func (e *OutputError) Error() string {
	if e.Busy {
		return fmt.Sprintf("output folder %s: another build is making it", e.Dir)
	}
	return fmt.Sprintf("output folder %s: there is something under that name already", e.Dir)
}

// Hint says how to get on.
func (e *OutputError) Hint() string {
	if e.Busy {
		return "wait for the other build, or give another folder with --out"
	}
	return "rm -r '" + strings.ReplaceAll(e.Dir, "'", `'\''`) + "', or give another folder with --out"
}

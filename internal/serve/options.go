package serve

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options of Start.
type Options struct {
	// Dir is the bundle's folder; it holds llama-server.
	Dir string
	// Model is the model's path. It may be empty where Args name one.
	Model string
	// Args are the user's, everything after "--". They go to llama-server
	// untouched and win over Host and Port.
	Args []string
	// Host is the address to listen on; "" is 127.0.0.1.
	Host string
	// Port is 0 for one that is free.
	Port int
	// LibDirs are absolute folders of CUDA libraries that the bundle takes from
	// this host, only those that the loader would not search. The bundle's own
	// libraries come before theirs, theirs before the system's.
	LibDirs []string
	// DriverDir is the folder of libcuda, only where the loader would not find it.
	DriverDir string
	// WorkDir is the server's working directory, "" is this process's.
	WorkDir string
	// Env is the parent's environment, "NAME=value"; see ChildEnv.
	Env []string
	// Stdout and Stderr get what the server prints, as it prints it; nil drops
	// it. They are written to from other goroutines.
	Stdout, Stderr io.Writer
	// Log hears what is done to the server; nil is silence.
	Log *slog.Logger
	// ReadyStall is how long a server that is not ready may do nothing at all:
	// print nothing, answer no differently, use no CPU and read no page. 0 is
	// DefaultReadyStall. There is no limit on loading as such.
	ReadyStall time.Duration
	// Grace is how long a server may finish what it streams after it was asked to
	// stop. 0 is DefaultGrace.
	Grace time.Duration
	// WantGPU makes it a failure if no layer is on a GPU, unless Args say so.
	WantGPU bool
	// GPUs are the UUIDs or indices (as nvidia-smi counts) of the GPUs to use;
	// nil leaves the choice to the environment.
	GPUs []string
	// HideGPUs hides all GPUs from the server.
	HideGPUs bool
}

// Defaults of Options.
const (
	DefaultReadyStall = 3 * time.Minute
	DefaultGrace      = 30 * time.Second
	DefaultHost       = "127.0.0.1"
)

// filled puts defaults in and refuses what cannot work.
func (o Options) filled() (Options, error) {
	if o.Host == "" {
		o.Host = DefaultHost
	}
	if o.ReadyStall == 0 {
		o.ReadyStall = DefaultReadyStall
	}
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.WantGPU && o.HideGPUs {
		return o, errors.New("a GPU cannot be wanted and hidden")
	}
	abs, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, fmt.Errorf("finding the bundle %s: %w", o.Dir, err)
	}
	o.Dir = abs
	if _, err := os.Stat(filepath.Join(o.Dir, program)); err != nil {
		return o, &PlaceError{fmt.Sprintf("the bundle %s has no llama-server", o.Dir), fixReinstall}
	}
	for _, dir := range slices.Concat([]string{o.Dir}, o.LibDirs, []string{o.DriverDir}) {
		if dir != "" && !filepath.IsAbs(dir) || strings.ContainsAny(dir, ":;") {
			return o, &PlaceError{
				fmt.Sprintf("the loader would read the folder %q as another, or as several", dir),
				"use a folder whose path holds neither : nor ; (LLCUDA_HOME names the bundles')",
			}
		}
	}
	if slices.Contains(o.LibDirs, "") {
		return o, errors.New("a library folder without a name")
	}
	return o, checkWorkDir(o.WorkDir, o.Dir)
}

// checkWorkDir refuses a working directory with backends in it: llama.cpp looks
// for libggml-*.so there too and would load them in place of the bundle's.
func checkWorkDir(dir, bundle string) error {
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking into the working directory: %w", err)
	}
	i := slices.IndexFunc(entries, func(e os.DirEntry) bool {
		return strings.HasPrefix(e.Name(), "libggml-") && strings.HasSuffix(e.Name(), ".so")
	})
	if i < 0 {
		return nil
	}
	if a, err := os.Stat(dir); err == nil {
		if b, err := os.Stat(bundle); err == nil && os.SameFile(a, b) {
			return nil
		}
	}
	return &PlaceError{
		fmt.Sprintf("the working directory holds %s, which llama.cpp would load in place of the bundle's own", entries[i].Name()),
		"start from another directory",
	}
}

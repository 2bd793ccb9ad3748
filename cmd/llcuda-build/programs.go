package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/matrix"
)

type programsOptions struct {
	matrixFile string
	images     []string
	builder    string
	module     string
	out        string
	rebuild    bool
	version    string
	commit     string
}

// programNames are the released files and the packages they are built from.
var programNames = [][2]string{
	{"llcuda-run-linux-amd64", "./cmd/llcuda-run"},
	{"llcuda-build-linux-amd64", "./cmd/llcuda-build"},
	{"llcuda-engine-linux-amd64", "./cmd/llcuda-engine"}, // llcuda-build looks for it beside itself, as llcuda-engine
}

func newPrograms(s *cli.Streams, matrixFile *string) *cobra.Command {
	var o programsOptions
	c := &cobra.Command{
		Use:   "programs",
		Short: "build llcuda-run, llcuda-build and its llcuda-engine themselves, in the image of the cpu cell",
		Long: `Builds the programs from this checkout in the matrix's oldest system, with this
machine's Go and its modules carried in: nothing is downloaded inside. What they
ask of glibc must not be newer than what the matrix promises for its bundles.
The same checkout and Go make the same bytes; --rebuild builds twice, in other
folders and from nothing, and compares.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.matrixFile = *matrixFile
			return runPrograms(cmd.Context(), s, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.out, "out", filepath.Join("dist", extraDir), "where they go, `DIR`")
	f.StringVar(&o.module, "module", ".", "the checkout, `DIR`")
	f.StringVar(&o.builder, "builder", matrix.BuilderDagger, "`dagger|host`")
	f.StringArrayVar(&o.images, "image", nil, "build in another image than the matrix names: `cpu=REF`")
	f.BoolVar(&o.rebuild, "rebuild", false, "build twice and compare the bytes")
	f.StringVar(&o.version, "set-version", version, "the `VERSION` that they will say")
	f.StringVar(&o.commit, "set-commit", commit, "the `COMMIT` that they will say")
	return c
}

func runPrograms(ctx context.Context, s *cli.Streams, o programsOptions) error {
	if err := checkBuilder(o.builder); err != nil {
		return err
	}
	m, _, images, err := selected(o.matrixFile, nil, o.images)
	if err != nil {
		return err
	}
	cell, err := cpuCell(m)
	if err != nil {
		return err
	}
	if o.out, err = filepath.Abs(o.out); err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(s.Env("TMPDIR"), "llcuda-programs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	stage := filepath.Join(work, "stage")
	if err := stageModule(ctx, s, o.module, stage); err != nil {
		return err
	}
	engine, err := engineOptions(s)
	if err != nil {
		return err
	}
	builder, err := newBuilder(ctx, engine, o.builder)
	if err != nil {
		return err
	}
	defer builder.Close()

	job := programJob{options: o, matrix: m, cell: cell, images: images, builder: builder, streams: s, work: work, fresh: "programs"}
	if o.rebuild {
		job.fresh = rand.Text()
	}
	dir, err := job.build(ctx, stage, "one", matrix.ContainerDirs)
	if err != nil {
		return err
	}
	if o.rebuild {
		again := filepath.Join(work, "another-stage")
		if err := copyTree(ctx, stage, again); err != nil {
			return err
		}
		other, err := job.build(ctx, again, "the-other-one", matrix.OtherDirs)
		if err != nil {
			return err
		}
		lines, _, err := compareFolders(dir, other)
		if err != nil {
			return err
		}
		if len(lines) > 0 {
			return fmt.Errorf("built twice, the programs differ:\n%s", strings.Join(lines, "\n"))
		}
		fmt.Fprintln(s.Err, "llcuda-build: built twice in different folders: the same bytes")
	}
	return job.check(dir)
}

// programJob builds the programs; it may do so twice.
type programJob struct {
	options programsOptions
	matrix  *matrix.Matrix
	cell    matrix.Cell
	images  map[string]string
	builder ci.Builder
	streams *cli.Streams
	work    string
	fresh   string
}

// programsScript builds with nothing but what lies in the source folder: Go in
// go/, the module with its vendored dependencies in module/.
const programsScript = `
src=$1 bld=$2 out=$3 flags=$4
shift 4
export GOROOT="$src/go" GOTOOLCHAIN=local GOPROXY=off GOFLAGS=-mod=vendor GOENV=off GOWORK=off GOAMD64=v1 GOTELEMETRY=off
export GOCACHE="$bld/cache" GOPATH="$bld/path" HOME="$bld" CGO_ENABLED=1 CGO_CFLAGS='-O2 -g -Wno-deprecated-declarations'
cd "$src/module"
while [ $# -gt 0 ]; do
	"$GOROOT/bin/go" build -trimpath -buildvcs=false -ldflags "$flags" -o "$out/$1" "$2"
	shift 2
done
`

// build runs one build and returns the folder with the programs.
func (j programJob) build(ctx context.Context, stage, name string, dirs matrix.Dirs) (string, error) {
	out := filepath.Join(j.work, name)
	if j.options.builder == matrix.BuilderHost {
		dirs = ci.HostDirs(stage, out, filepath.Join(j.work, "cache"))
	}
	plan, err := j.matrix.Plan(j.cell, matrix.PlanOptions{Dirs: dirs, ImageFor: j.images, Tool: version, Builder: j.options.builder, NoCcache: true})
	if err != nil {
		return "", err
	}
	// Without its own id the linker's output would tell two folders apart.
	flags := "-s -w -buildid= -X main.version=" + j.options.version + " -X main.commit=" + j.options.commit +
		" '-extldflags=-Wl,-z,lazy -Wl,--build-id=none'"
	args := []string{"sh", "-euc", programsScript, "go", dirs.Source, dirs.Build, dirs.Out, flags}
	for _, p := range programNames {
		args = append(args, p[0], p[1])
	}
	plan.Steps, plan.ToolsFile, plan.WitnessFile = []matrix.Step{{Name: "go", Args: args}}, "", ""
	log, err := os.Create(filepath.Join(j.work, name+".log"))
	if err != nil {
		return "", err
	}
	defer log.Close()
	progress := cli.NewProgress(j.streams.Err, false)
	progress.Set("programs", "go build", 0, 0, cli.Steps)
	result, err := j.builder.Build(ctx, plan, ci.Job{SourceDir: stage, OutDir: out, Log: log, Fresh: j.fresh})
	if err != nil {
		progress.Finish("programs", "failed")
		return "", lastLines(err)
	}
	progress.Finish("programs", "built")
	return result.Dir, nil
}

// check reads the programs back, and puts them into their place where they hold
// what the matrix promises of bundles.
func (j programJob) check(dir string) error {
	report, err := readFacts(dir)
	if err != nil {
		return err
	}
	oldest := ""
	for _, p := range j.matrix.Promise() {
		if oldest == "" || inspect.Newer(oldest, p.Glibc) {
			oldest = p.Glibc
		}
	}
	var errs []error
	for _, f := range report.Files {
		switch {
		case f.ELF == nil:
			errs = append(errs, fmt.Errorf("%s is no ELF file", f.Path))
			continue
		case inspect.Newer(f.ELF.Glibc, oldest):
			errs = append(errs, &cli.Error{Code: cli.ExitFailed,
				Err:  fmt.Errorf("%s asks for glibc %s (%s), and bundles are promised from %s on", f.Path, f.ELF.Glibc, f.ELF.GlibcSymbol, oldest),
				Cure: "build it in the image of the cpu cell: --builder dagger"})
		}
		if len(f.ELF.BuildPaths) > 0 || len(f.ELF.Users) > 0 {
			errs = append(errs, fmt.Errorf("%s says where it was built: %s", f.Path, strings.Join(append(f.ELF.BuildPaths, f.ELF.Users...), ", ")))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, f := range report.Files {
		to := filepath.Join(j.options.out, f.Path)
		tmp := to + ".new"
		_ = os.Remove(tmp)
		if err := copyFile(filepath.Join(dir, f.Path), tmp); err != nil {
			return err
		}
		if err := errors.Join(os.Chmod(tmp, 0o755), os.Rename(tmp, to)); err != nil {
			return err
		}
		fmt.Fprintf(j.streams.Out, "%s\tglibc %s\t%s\n", to, f.ELF.Glibc, cli.Size(f.Size))
	}
	return nil
}

func cpuCell(m *matrix.Matrix) (matrix.Cell, error) {
	for _, c := range m.AllCells() {
		if c.Toolkit == "" {
			return c, nil
		}
	}
	return matrix.Cell{}, errors.New("the matrix has no cell without a toolkit, whose image the programs are built in")
}

// stageModule makes the source folder of a build of the programs: Go itself, and
// the files that git keeps of the checkout, as they are, with their dependencies.
// A file that git does not keep is left out: the version would not tell of it.
func stageModule(ctx context.Context, s *cli.Streams, module, stage string) error {
	goTool := func(dir string, args ...string) (string, error) {
		c := exec.CommandContext(ctx, "go", args...)
		c.Dir, c.Env, c.Stderr = dir, s.Environ, s.Err
		out, err := c.Output()
		if err != nil {
			return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	goroot, err := goTool(module, "env", "GOROOT")
	if err != nil {
		return err
	}
	for _, part := range []string{"bin", "lib", "pkg", "src", "go.env", "VERSION"} {
		info, err := os.Stat(filepath.Join(goroot, part))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		to := filepath.Join(stage, "go", part)
		if info.IsDir() {
			err = copyTree(ctx, filepath.Join(goroot, part), to)
		} else {
			err = copyFile(filepath.Join(goroot, part), to)
		}
		if err != nil {
			return fmt.Errorf("carrying Go along: %w", err)
		}
	}
	list := exec.CommandContext(ctx, "git", "-C", module, "ls-files", "-z")
	list.Env, list.Stderr = s.Environ, s.Err
	files, err := list.Output()
	if err != nil {
		return fmt.Errorf("asking git for the checkout's files: %w", err)
	}
	to := filepath.Join(stage, "module")
	for _, name := range strings.Split(strings.Trim(string(files), "\x00"), "\x00") {
		from := filepath.Join(module, name)
		if info, err := os.Lstat(from); err != nil || !info.Mode().IsRegular() {
			continue // removed and not yet committed, or a link: no source of ours is one
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			return err
		}
		if err := copyFile(from, filepath.Join(to, name)); err != nil {
			return err
		}
	}
	_, err = goTool(to, "mod", "vendor")
	return err
}

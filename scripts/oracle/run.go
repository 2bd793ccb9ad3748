package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
)

// patience is how long one program may take; a start takes less than a second.
const patience = 2 * time.Minute

type runner struct {
	llcudaRun string
	mu        sync.Mutex
	results   []result
	files     map[string]facts.File
}

func runRun(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("run", flag.ExitOnError)
	llcudaRun := f.String("llcuda-run", "", "the llcuda-run that predicts")
	out := f.String("out", "", "folder for oracle.json, oracle-facts.json and oracle.txt")
	commit := f.String("commit", "", "the commit of llcuda-run")
	date := f.String("date", time.Now().UTC().Format(time.DateOnly), "the day")
	only := f.String("only", "", "only programs whose name matches this expression")
	jobs := f.Int("j", min(8, runtime.NumCPU()), "how many programs at a time")
	_ = f.Parse(args)
	if *llcudaRun == "" || *out == "" || f.NArg() == 0 {
		return errors.New("run needs -llcuda-run, -out and folders that oracle make made")
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	r := &runner{llcudaRun: *llcudaRun, files: map[string]facts.File{}}
	host, err := r.host(ctx)
	if err != nil {
		return err
	}
	g := new(errgroup.Group)
	g.SetLimit(*jobs)
	for _, dir := range f.Args() {
		data, err := os.ReadFile(filepath.Join(dir, "cases.json"))
		if err != nil {
			return err
		}
		var list []program
		if err := json.Unmarshal(data, &list); err != nil {
			return fmt.Errorf("%s/cases.json: %w", dir, err)
		}
		for _, p := range list {
			if !wanted.MatchString(p.Name) {
				continue
			}
			g.Go(func() error {
				err := r.one(ctx, dir, p)
				if err != nil && ctx.Err() == nil { // one that broke must not cost what the others found
					r.mu.Lock()
					defer r.mu.Unlock()
					r.results = append(r.results, result{Name: p.Name, How: p.How, By: p.By, Env: p.Env, Why: err.Error()})
					return nil
				}
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	slices.SortFunc(r.results, func(a, b result) int { return cmp.Compare(a.Name, b.Name) })
	e := evidence{Schema: facts.Schema, Date: *date, Commit: *commit, Host: anonymous(host), Cases: r.results}
	if host.Driver != nil {
		e.Driver = host.Driver.Libcuda
	}
	if len(host.GPUs) > 0 {
		e.Device = host.GPUs[0].Name
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	if err := e.write(*out, r.files); err != nil {
		return err
	}
	differ := 0
	for _, c := range e.Cases {
		if !c.Agree {
			differ++
			fmt.Printf("differs: %s (%s): predicted %s %d, %s\n", c.Name, c.How, c.Predicted.Verdict, c.Predicted.CUDAError, c.Why)
		}
	}
	fmt.Printf("oracle: %d programs, %d differ\n", len(e.Cases), differ)
	if differ > 0 {
		return fmt.Errorf("%d of %d programs did something else than was predicted", differ, len(e.Cases))
	}
	return nil
}

// host asks the program that predicts what it sees.
func (r *runner) host(ctx context.Context) (facts.Host, error) {
	var d facts.Doctor
	out, err := exec.CommandContext(ctx, r.llcudaRun, "doctor", "--json").Output()
	if err == nil {
		err = json.Unmarshal(out, &d)
	}
	if err != nil {
		return facts.Host{}, fmt.Errorf("llcuda-run doctor --json: %w", err)
	}
	return d.Host, nil
}

// anonymous leaves out what tells one machine from another of its kind.
func anonymous(h facts.Host) facts.Host {
	h.GPUs = slices.Clone(h.GPUs)
	for i := range h.GPUs {
		h.GPUs[i].UUID = ""
	}
	return h
}

// one predicts and starts one program.
func (r *runner) one(ctx context.Context, dir string, p program) error {
	path, err := filepath.Abs(filepath.Join(dir, p.File))
	if err != nil {
		return err
	}
	f, err := inspect.File(path)
	if err != nil {
		return err
	}
	res := result{Name: p.Name, How: p.How, By: p.By, Env: p.Env}
	env := append(clean(os.Environ()), strings.Fields(p.Env)...)
	if res.Predicted, err = r.predict(ctx, path, env); err != nil {
		return err
	}
	cache, err := os.MkdirTemp("", "oracle-cache-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(cache)
	argv := []string{path}
	if p.Loader {
		argv = []string{filepath.Join(dir, "loader"), path}
	}
	env = append(env, "CUDA_CACHE_PATH="+cache)
	plain, exit, err := start(ctx, argv, env)
	if err != nil {
		return err
	}
	nojit, _, err := start(ctx, argv, append(env, "CUDA_DISABLE_PTX_JIT=1", "CUDA_CACHE_DISABLE=1"))
	if err != nil {
		return err
	}
	forced, _, err := start(ctx, argv, append(env, "CUDA_FORCE_PTX_JIT=1", "CUDA_CACHE_DISABLE=1"))
	if err != nil {
		return err
	}
	res.Exit = exit
	for i, u := range plain {
		one := unit{Unit: u.unit, Plain: u.code, Ran: u.arch}
		if u.code != 0 {
			one.At = u.at
		}
		if i < len(nojit) {
			one.NoJIT = nojit[i].code
		}
		if i < len(forced) {
			one.Forced, one.RanForced = forced[i].code, forced[i].arch
		}
		res.Units = append(res.Units, one)
	}
	res.judge()
	for _, u := range plain {
		if res.Actual != nil && *res.Actual != 0 && u.code == *res.Actual {
			res.Error = u.name
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, res)
	r.files[p.Name] = essential(f, p.Name)
	return nil
}

// clean leaves out what would change what CUDA does.
func clean(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(s string) bool {
		return strings.HasPrefix(s, "CUDA_") && !strings.HasPrefix(s, "CUDA_HOME=") && !strings.HasPrefix(s, "CUDA_PATH=")
	})
}

// predict asks llcuda-run for its verdict.
func (r *runner) predict(ctx context.Context, path string, env []string) (prediction, error) {
	c := exec.CommandContext(ctx, r.llcudaRun, "why", "--json", path)
	c.Env = env
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	var ended *exec.ExitError
	if err != nil && (!errors.As(err, &ended) || ended.ExitCode() != 3) {
		return prediction{}, fmt.Errorf("llcuda-run why: %w: %s", err, &stderr)
	}
	var w facts.Why
	if err := json.Unmarshal(out, &w); err != nil || len(w.Candidates) != 1 {
		return prediction{}, fmt.Errorf("llcuda-run why gave %d candidates: %w", len(w.Candidates), err)
	}
	return predictionOf(w.Candidates[0]), nil
}

// line is what a program prints of one unit.
type line struct {
	unit, code, arch int
	at, name         string
}

// start runs a program and reads its lines.
func start(ctx context.Context, argv, env []string) ([]line, int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Env = env
	out, err := c.Output()
	exit := 0
	if err != nil {
		var ended *exec.ExitError
		if !errors.As(err, &ended) || ctx.Err() != nil {
			return nil, 0, fmt.Errorf("%s: %w", argv[len(argv)-1], errors.Join(err, ctx.Err()))
		}
		exit = ended.ExitCode()
	}
	var all []line
	for _, text := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var l line
		if text == "" {
			continue
		}
		if n, err := fmt.Sscanf(text, "%d %d %s %s %d", &l.unit, &l.code, &l.at, &l.name, &l.arch); n != 5 {
			return nil, exit, fmt.Errorf("%s printed %q: %w", argv[len(argv)-1], text, err)
		}
		all = append(all, l)
	}
	return all, exit, nil
}

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/inspect"
)

// runRejudge predicts again what a GPU has already answered, by today's rules: of
// files that are at hand the facts are read again, of others those that are kept.
func runRejudge(args []string) error {
	f := flag.NewFlagSet("rejudge", flag.ExitOnError)
	dir := f.String("in", "docs/proof", "folder with oracle.json and oracle-facts.json, which are written anew")
	commit := f.String("commit", "", "the commit of the rules")
	_ = f.Parse(args)
	var e evidence
	var kept struct {
		Files []facts.File `json:"files"`
	}
	for name, into := range map[string]any{"oracle.json": &e, "oracle-facts.json": &kept} {
		data, err := os.ReadFile(filepath.Join(*dir, name))
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	files := map[string]facts.File{}
	for _, file := range kept.Files {
		files[file.Path] = file
	}
	paths := map[string]string{}
	for _, programs := range f.Args() {
		data, err := os.ReadFile(filepath.Join(programs, "cases.json"))
		if err != nil {
			return err
		}
		var list []program
		if err := json.Unmarshal(data, &list); err != nil {
			return err
		}
		for _, p := range list {
			paths[p.Name] = filepath.Join(programs, p.File)
		}
	}
	differ := 0
	for i := range e.Cases {
		c := &e.Cases[i]
		if path := paths[c.Name]; path != "" {
			file, err := inspect.File(path)
			if err != nil {
				return err
			}
			files[c.Name] = essential(file, c.Name)
		}
		got := compat.Judge(compat.ForFiles(c.Name, []facts.File{files[c.Name]}), under(e.Host, c.Env))
		c.Predicted = predictionOf(got)
		if c.judge(); !c.Agree {
			differ++
			fmt.Printf("differs: %s (%s): predicted %s %d, %s\n", c.Name, c.How, c.Predicted.Verdict, c.Predicted.CUDAError, c.Why)
		}
	}
	e.Judged = *commit
	if err := e.write(*dir, files); err != nil {
		return err
	}
	if differ > 0 {
		return errors.New("see above")
	}
	return nil
}

// predictionOf is the first reason that names a CUDA error, else the first one.
func predictionOf(c facts.Candidate) prediction {
	p := prediction{Verdict: c.Verdict}
	for _, r := range c.Reasons {
		if p.Code == "" || p.CUDAError == 0 && r.CUDAError != 0 {
			p.Code, p.CUDAError = r.Code, r.CUDAError
		}
	}
	return p
}

// under is a host as a program with these variables meets it.
func under(h facts.Host, env string) facts.Host {
	h.GPUs = slices.Clone(h.GPUs)
	all := map[string]string{}
	for k, v := range h.Env {
		all[k] = v
	}
	for _, set := range strings.Fields(env) {
		k, v, _ := strings.Cut(set, "=")
		if all[k] = v; k == "CUDA_VISIBLE_DEVICES" && v == "-1" {
			for i := range h.GPUs {
				h.GPUs[i].Visible = false
			}
		}
	}
	h.Env = all
	return h
}

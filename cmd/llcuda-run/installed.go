//go:build linux && amd64

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/models"
	"github.com/waqasm86/llcuda/internal/store"
)

type pullOptions struct {
	proofOptions
	dry bool
}

func newPull(s *cli.Streams, readHost hostReader) *cobra.Command {
	var o pullOptions
	o.readHost = readHost
	c := &cobra.Command{
		Use:   "pull",
		Short: "choose, install and prove the bundle for this machine, without serving",
		Long: `Asks the source for its newest release (or the one after @), says what it
changes, installs the bundle for this machine and proves it there, as selftest
does: one that fails makes place for the next that fits. From then on serve uses
that release. Older ones stay until rm removes them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.fill(s)
			return runPull(cmd.Context(), s, o)
		},
	}
	o.fresh = true // a release that was remembered is no answer to "is there a new one?"
	o.pickOptions.flags(c.Flags())
	c.Flags().BoolVar(&o.unproved, "no-proof", false, "install only: nothing is started, serve proves it at its first start")
	c.Flags().BoolVar(&o.json, "json", false, "progress as events on stderr, the result as JSON on stdout")
	c.Flags().BoolVar(&o.dry, "dry-run", false, "say what would be installed, and install nothing")
	return c
}

func runPull(ctx context.Context, s *cli.Streams, o pullOptions) error {
	st, err := openStore(s)
	if err != nil {
		return err
	}
	sc, err := look(ctx, s, st, o.pickOptions)
	if err != nil {
		return err
	}
	if o.dry {
		p, err := sc.choose(s, st, o.pickOptions, chooseOptions{})
		if err != nil {
			return err
		}
		up := upgradeOf(s, st, p, o.keys)
		if o.json {
			return s.PrintJSON(struct {
				Schema int `json:"schema"`
				upgrade
			}{facts.Schema, up})
		}
		fmt.Fprintln(s.Out, up.sentence())
		return nil
	}
	if o.unproved {
		o.because = "--no-proof"
	}
	o.judged = true
	got, _, err := sc.settle(ctx, s, st, o.proofOptions, func(p picked) {
		note(s, "%s", upgradeOf(s, st, p, o.keys).sentence())
	})
	if err != nil {
		return err
	}
	if err := got.release(); err != nil {
		return err
	}
	if o.json {
		return s.PrintJSON(struct {
			Schema int `json:"schema"`
			store.Installed
		}{facts.Schema, got.installed})
	}
	fmt.Fprintln(s.Out, got.installed.Dir)
	return nil
}

func newList(s *cli.Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "ls",
		Short: "what is installed",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return runList(s, asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return c
}

func runList(s *cli.Streams, asJSON bool) error {
	st, err := openStore(s)
	if err != nil {
		return err
	}
	list, err := st.List()
	if err != nil {
		return err
	}
	if asJSON {
		return s.PrintJSON(struct {
			Schema  int               `json:"schema"`
			Bundles []store.Installed `json:"bundles"`
		}{facts.Schema, append([]store.Installed{}, list...)})
	}
	if len(list) == 0 {
		note(s, "nothing is installed in %s", st.Dir())
		return nil
	}
	t := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BUNDLE\tRELEASE\tSIZE\tINSTALLED\tFOLDER")
	for _, b := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", b.ID, b.Release, cli.Size(b.Size), b.Time.Local().Format("2006-01-02 15:04"), b.Dir)
	}
	return t.Flush()
}

func newRemove(s *cli.Streams) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "rm BUNDLE[@RELEASE]... | --all",
		Short: "remove installed bundles; --all removes everything this program keeps",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return cli.Usagef("rm takes the names of bundles, or --all")
			}
			return runRemove(cmd.Context(), s, args, all)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "remove all bundles, downloads, the built-in models and what is remembered of sources and proofs; Hugging Face's cache of models stays")
	return c
}

func runRemove(ctx context.Context, s *cli.Streams, names []string, all bool) error {
	st, err := openStore(s)
	if err != nil {
		return err
	}
	if all {
		if err := st.RemoveAll(ctx); err != nil {
			return err
		}
		return errors.Join(proofs(st).Clear(), dropModels(modelCache(st)))
	}
	for _, name := range names {
		id, release, _ := strings.Cut(name, "@")
		if err := st.Remove(ctx, id, release); err != nil {
			return err
		}
	}
	return nil
}

// modelCache is where models that were made here lie.
func modelCache(st *store.Store) string { return filepath.Join(st.Dir(), "cache") }

// dropModels removes the built-in model, the models from plain addresses and
// their folders, where nobody else has put anything into them. Models from
// Hugging Face lie in its own cache, which others share: they stay.
func dropModels(cache string) error {
	dir := filepath.Join(cache, "models")
	for _, ours := range []string{models.TinyName + "-*.gguf", "." + models.TinyName + "-*.unverified"} {
		found, err := filepath.Glob(filepath.Join(dir, ours))
		if err != nil {
			return nil // the folder's name is a pattern: nothing can be looked for
		}
		for _, file := range found {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, models.URLFolder)); err != nil {
		return err
	}
	for _, name := range []string{hostLibsName, verifiedName} {
		if err := os.Remove(filepath.Join(cache, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	_ = os.Remove(dir) // stays where it is not empty
	_ = os.Remove(cache)
	return nil
}

func newGC(s *cli.Streams) *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use:   "gc",
		Short: "remove parts that no installed bundle uses, and what killed installs left",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runGC(cmd.Context(), s, dry) },
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "say what would go")
	return c
}

func runGC(ctx context.Context, s *cli.Streams, dry bool) error {
	st, err := openStore(s)
	if err != nil {
		return err
	}
	swept, err := st.GC(ctx, dry)
	if err != nil {
		return err
	}
	if !dry {
		if err := forgetGone(st); err != nil {
			return err
		}
	}
	return s.PrintJSON(struct {
		Schema int `json:"schema"`
		store.Swept
	}{facts.Schema, swept})
}

// forgetGone forgets the proofs of bundles that are not installed any more.
func forgetGone(st *store.Store) error {
	list, err := st.List()
	if err != nil {
		return err
	}
	memory := proofs(st)
	for _, r := range memory.All() {
		if !slices.ContainsFunc(list, func(in store.Installed) bool { return in.ID == r.Bundle && in.Release == r.Release }) {
			err = errors.Join(err, memory.Forget(r.Identity))
		}
	}
	return err
}

//go:build linux && amd64

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/hub"
	"github.com/waqasm86/llcuda/internal/models"
	"github.com/waqasm86/llcuda/internal/store"
)

func newModels(s *cli.Streams) *cobra.Command {
	list := newModelList(s)
	c := &cobra.Command{
		Use:   "models",
		Short: "models that have a short name: list, download, check",
		Long: `Lists the models that have a short name. What is downloaded lies in Hugging Face's
own cache (HF_HOME), where Python and llama.cpp find it and put theirs.`,
		Args: cobra.NoArgs,
		RunE: list.RunE,
	}
	c.Flags().AddFlagSet(list.Flags())
	c.AddCommand(list, newModelPull(s), newModelCheck(s))
	return c
}

// verifiedName is the file in the cache that keeps which models were verified.
const verifiedName = "verified.json"

// hubClient is the hub as the environment says.
func hubClient(s *cli.Streams, st *store.Store, o pickOptions) (*hub.Client, error) {
	env, err := hub.FromEnv(s.EnvMap())
	if err != nil {
		return nil, err
	}
	env.Offline = env.Offline || o.offline
	return hub.New(hub.Options{Env: env, UserAgent: "llcuda-run/" + version, Log: o.log(s),
		Remember: filepath.Join(modelCache(st), verifiedName)})
}

// modelOptions say how a MODEL is found, with progress and notes on stderr.
func modelOptions(s *cli.Streams, st *store.Store, o pickOptions, asJSON bool) models.Options {
	progress := cli.NewProgress(s.Err, asJSON)
	return models.Options{
		CacheDir: modelCache(st),
		Hub:      func() (*hub.Client, error) { return hubClient(s, st, o) },
		Note:     func(text string) { progress.Printf("llcuda-run: %s", text) },
		Progress: func(file, step string, done, total int64) { progress.Set(file, step, done, total, cli.Bytes) },
		Finished: func(file string) { progress.Finish(file, "") },
	}
}

// listed is one model that can be named, as ls --json has it.
type listed struct {
	// Name is what to type as MODEL.
	Name    string          `json:"name"`
	Repo    string          `json:"repo"`
	File    string          `json:"file"`
	Quant   string          `json:"quant,omitempty"`
	Size    int64           `json:"size,omitempty"`
	SHA256  string          `json:"sha256,omitempty"`
	Licence *models.Licence `json:"licence,omitempty"`
	Gated   bool            `json:"gated"`
	Cached  bool            `json:"cached"`
	Path    string          `json:"path,omitempty"`
}

func newModelList(s *cli.Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "ls",
		Short: "models with a short name, and what Hugging Face's cache holds",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return runModelList(s, asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return c
}

func runModelList(s *cli.Streams, asJSON bool) error {
	st, err := openStore(s)
	if err != nil {
		return err
	}
	c, err := hubClient(s, st, pickOptions{})
	if err != nil {
		return err
	}
	r, err := models.BuiltinRegistry()
	if err != nil {
		return err
	}
	list := listModels(r, c)
	if asJSON {
		return s.PrintJSON(struct {
			Schema int      `json:"schema"`
			Cache  string   `json:"cache"`
			Models []listed `json:"models"`
		}{facts.Schema, c.CacheDir(), list})
	}
	t := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MODEL\tSIZE\tCACHED\tGATED\tLICENCE")
	for _, m := range list {
		size, licence := "?", "-"
		if m.Size > 0 {
			size = cli.Size(m.Size)
		}
		if m.Licence != nil {
			licence = m.Licence.Name
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", m.Name, size, yes(m.Cached), yes(m.Gated), licence)
	}
	return t.Flush()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// listModels are the registry's models and what else the cache holds. A file
// that is there is not read: its digest is compared when it is served.
func listModels(r models.Registry, c *hub.Client) []listed {
	list := []listed{}
	named := map[string]bool{}
	for _, e := range r.Models {
		licence := e.Licence
		m := listed{Name: e.Alias, Repo: e.Repo, File: e.File, Quant: e.Quant, Size: e.Size, SHA256: e.SHA256, Licence: &licence, Gated: e.Gated}
		f, ok := c.Lookup(e.Repo, hub.Main, e.File)
		if e.SHA256 != "" && (!ok || f.SHA256 != e.SHA256) {
			f, ok = c.Find(e.Repo, e.File, e.SHA256)
		}
		if ok {
			m.Cached, m.Path = true, f.Link
			named[f.Name()] = true
		}
		list = append(list, m)
	}
	for _, f := range c.List() {
		if !named[f.Name()] {
			list = append(list, listed{Name: f.Name(), Repo: f.Repo, File: f.Path, Size: f.Size, SHA256: f.SHA256, Cached: true, Path: f.Link})
		}
	}
	return list
}

func newModelPull(s *cli.Streams) *cobra.Command {
	var o pickOptions
	var asJSON bool
	c := &cobra.Command{
		Use:   "pull MODEL",
		Short: "download a model without serving it, or take what the hub has now",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runModelPull(cmd.Context(), s, args[0], o, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "progress as events on stderr, the result as JSON on stdout")
	c.Flags().BoolVar(&o.offline, "offline", false, "fetch nothing: check what the cache has")
	c.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "say on stderr what is done")
	return c
}

func runModelPull(ctx context.Context, s *cli.Streams, model string, o pickOptions, asJSON bool) error {
	st, err := openStore(s)
	if err != nil {
		return err
	}
	mo := modelOptions(s, st, o, asJSON)
	mo.Refresh = true
	m, err := models.Resolve(ctx, model, mo)
	if err != nil {
		return err
	}
	if !asJSON {
		fmt.Fprintln(s.Out, m.Path)
		return nil
	}
	result := struct {
		Schema   int      `json:"schema"`
		Name     string   `json:"name"`
		Path     string   `json:"path"`
		Parts    []string `json:"parts"`
		Size     int64    `json:"size"`
		Repo     string   `json:"repo,omitempty"`
		File     string   `json:"file,omitempty"`
		Revision string   `json:"revision,omitempty"`
		SHA256   string   `json:"sha256,omitempty"`
	}{Schema: facts.Schema, Name: m.Name, Path: m.Path, Parts: m.Parts, Size: m.Size}
	if m.Origin != nil {
		result.Repo, result.File, result.Revision, result.SHA256 = m.Origin.Repo, m.Origin.Path, m.Origin.Commit, m.Origin.SHA256
	}
	return s.PrintJSON(result)
}

func newModelCheck(s *cli.Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "ask the hub whether every model with a short name can be downloaded; exit 1 where not",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runModelCheck(cmd.Context(), s, asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return c
}

func runModelCheck(ctx context.Context, s *cli.Streams, asJSON bool) error {
	st, err := openStore(s)
	if err != nil {
		return err
	}
	c, err := hubClient(s, st, pickOptions{})
	if err != nil {
		return err
	}
	r, err := models.BuiltinRegistry()
	if err != nil {
		return err
	}
	checked, err := models.Check(ctx, c, r)
	if err != nil {
		return err
	}
	report := models.Report(c.Endpoint(), checked)
	if asJSON {
		err = s.PrintJSON(report)
	} else {
		err = report.Render(s.Out)
	}
	if err != nil {
		return err
	}
	return models.Misses(checked)
}

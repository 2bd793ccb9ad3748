package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/hub"
	"github.com/waqasm86/llcuda/internal/models"
)

func newModels(s *cli.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "models",
		Short: "the registry of models that have a short name",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newModelCheck(s))
	return c
}

type modelCheckOptions struct {
	registry    string
	json, write bool
}

func newModelCheck(s *cli.Streams) *cobra.Command {
	var o modelCheckOptions
	c := &cobra.Command{
		Use:   "check",
		Short: "ask the hub whether a user could download every entry; exit 1 where not",
		Long: `Asks the hub for every entry of the registry as a user would, without a token where
the entry says that none is needed: that the file is there, of the size and the
SHA-256 that the entry has, and begins like a model. Reports all entries.
--write completes the entries that have no SHA-256 with the hub's; it changes no
value that is there.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runModelCheck(cmd.Context(), s, o) },
	}
	c.Flags().StringVar(&o.registry, "registry", models.RegistryName, "the registry `FILE`; outside a checkout the one of this program")
	c.Flags().BoolVar(&o.json, "json", false, "print the result as JSON")
	c.Flags().BoolVar(&o.write, "write", false, "write what the hub says into entries that have no SHA-256")
	return c
}

// askHub asks the hub for every entry of a registry.
func askHub(ctx context.Context, s *cli.Streams, r models.Registry) (checked []models.Checked, endpoint string, err error) {
	env, err := hub.FromEnv(s.EnvMap())
	if err != nil {
		return nil, "", err
	}
	c, err := hub.New(hub.Options{Env: env, UserAgent: "llcuda-build/" + version})
	if err != nil {
		return nil, "", err
	}
	checked, err = models.Check(ctx, c, r)
	return checked, c.Endpoint(), err
}

// modelsAreThere is what a release asks before it goes out: could its users download
// every model that has a short name?
func modelsAreThere(s *cli.Streams, registry string) func(context.Context) error {
	return func(ctx context.Context) error {
		r, err := loadRegistry(modelCheckOptions{registry: registry})
		if err != nil {
			return err
		}
		checked, _, err := askHub(ctx, s, r)
		if err != nil {
			return err
		}
		return models.Misses(checked)
	}
}

func runModelCheck(ctx context.Context, s *cli.Streams, o modelCheckOptions) error {
	r, err := loadRegistry(o)
	if err != nil {
		return err
	}
	checked, endpoint, err := askHub(ctx, s, r)
	if err != nil {
		return err
	}
	report := models.Report(endpoint, checked)
	if o.json {
		err = s.PrintJSON(report)
	} else {
		err = report.Render(s.Out)
	}
	if err != nil {
		return err
	}
	if o.write {
		n := r.Fill(checked)
		if n > 0 {
			data, err := r.Encode()
			if err != nil {
				return err
			}
			if err := os.WriteFile(o.registry, data, 0o644); err != nil {
				return fmt.Errorf("writing the registry: %w", err)
			}
		}
		fmt.Fprintf(s.Err, "llcuda-build: completed %d entries of %s\n", n, o.registry)
	}
	return models.Misses(checked)
}

// loadRegistry reads the named registry, or outside a checkout the built-in one,
// which cannot be written.
func loadRegistry(o modelCheckOptions) (models.Registry, error) {
	data, err := os.ReadFile(o.registry)
	if errors.Is(err, fs.ErrNotExist) && o.registry == models.RegistryName && !o.write {
		return models.BuiltinRegistry()
	}
	if err != nil {
		return models.Registry{}, &cli.Error{Err: err, Code: cli.ExitUsage,
			Cure: "run it from the repository's root, or name the registry with --registry FILE"}
	}
	r, err := models.ParseRegistry(data)
	if err != nil {
		return r, &cli.Error{Err: err, Code: cli.ExitUsage}
	}
	return r, nil
}

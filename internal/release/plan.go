package release

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Plan is what publishing does on GitHub: printed by a dry run, and kept to by a
// run that nothing disturbs.
type Plan struct {
	Repository, Tag string
	Sequence        int64
	// Commit is what the tag names, or will name.
	Commit string
	// Latest and Prerelease are how the release will stand, Why for which reason.
	Latest, Prerelease bool
	Why                string
	// Upload is sent; Reuse lies in the draft of an earlier run; Refer stays in
	// earlier releases.
	Upload, Reuse, Refer []PlanFile
	// Remove is what killed runs left and no file fits.
	Remove []string
	// Calls is the number of requests to GitHub's API, those made before included.
	Calls int
}

// PlanFile is a file of a plan. Release holds it, where an earlier one does.
type PlanFile struct {
	Name    string
	Size    int64
	Release string
}

// Bytes is what is uploaded.
func (p *Plan) Bytes() int64 { return sumSizes(p.Upload) }

func sumSizes(files []PlanFile) (n int64) {
	for _, f := range files {
		n += f.Size
	}
	return n
}

// WriteText writes the plan for a person.
func (p *Plan) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range p.Upload {
		fmt.Fprintf(t, "upload\t%s\t%d bytes\t\n", f.Name, f.Size)
	}
	for _, f := range p.Reuse {
		fmt.Fprintf(t, "reuse\t%s\t%d bytes\tin the draft of an earlier run\n", f.Name, f.Size)
	}
	for _, f := range p.Refer {
		fmt.Fprintf(t, "refer\t%s\t%d bytes\tin release %s\n", f.Name, f.Size, f.Release)
	}
	for _, r := range p.Remove {
		fmt.Fprintf(t, "remove\t%s\t\tleft by an earlier run\n", r)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	standing := "not latest"
	if p.Latest {
		standing = "latest"
	}
	if p.Prerelease {
		standing += ", pre-release"
	}
	_, err := fmt.Fprintf(w, "%s@%s: sequence %d, commit %s, %s (%s)\n%d files, %d bytes to upload; %d bytes in drafts or earlier releases; %d API calls\n",
		p.Repository, p.Tag, p.Sequence, p.Commit, standing, p.Why, len(p.Upload), p.Bytes(), sumSizes(p.Reuse)+sumSizes(p.Refer), p.Calls)
	return err
}

func planFiles(files []file) []PlanFile {
	var out []PlanFile
	for _, f := range files {
		out = append(out, PlanFile{Name: f.name, Size: f.size})
	}
	return out
}

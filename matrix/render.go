package matrix

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// PlanDoc is the document of `llcuda-build plan --json`, schema 1.
type PlanDoc struct {
	Schema int       `json:"schema"`
	Cells  []PlanRow `json:"cells"`
}

// PlanRow is one cell of it.
type PlanRow struct {
	ID       string   `json:"id"`
	Toolkit  string   `json:"toolkit,omitempty"`
	Image    string   `json:"image"`
	Platform string   `json:"platform"`
	SMs      []string `json:"sms"`
	PTX      []string `json:"ptx"`
	CMake    []string `json:"cmake"`
	Key      string   `json:"key"`
}

// NewPlanDoc is the document of plans, in their order.
func NewPlanDoc(plans []Plan) PlanDoc {
	doc := PlanDoc{Schema: 1, Cells: []PlanRow{}}
	for _, p := range plans {
		doc.Cells = append(doc.Cells, PlanRow{ID: p.Cell.ID, Toolkit: p.Cell.Toolkit, Image: p.Image, Platform: p.Cell.Platform,
			SMs: p.Cell.SMs, PTX: p.Cell.PTX, CMake: p.CMake, Key: p.Key})
	}
	return doc
}

// WriteJSON writes the document of `plan --json`.
func WriteJSON(w io.Writer, plans []Plan) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(NewPlanDoc(plans))
}

// githubMatrix is what `strategy.matrix: ${{ fromJSON(…) }}` takes.
type githubMatrix struct {
	Include []githubRow `json:"include"`
}

type githubRow struct {
	ID       string `json:"id"`
	Toolkit  string `json:"toolkit"`
	Image    string `json:"image"`
	Platform string `json:"platform"`
}

// WriteGitHub writes a workflow matrix as one line, fit for $GITHUB_OUTPUT.
func WriteGitHub(w io.Writer, plans []Plan) error {
	doc := githubMatrix{Include: []githubRow{}}
	for _, p := range plans {
		doc.Include = append(doc.Include, githubRow{p.Cell.ID, p.Cell.Toolkit, p.Image, p.Cell.Platform})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}

// WriteTable writes the plans for people.
func WriteTable(w io.Writer, plans []Plan) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "CELL\tTOOLKIT\tMACHINE CODE\tPTX\tIMAGE\tKEY")
	for _, p := range plans {
		image := p.Image
		if p.StandIn {
			image += " (stand-in)"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Cell.ID, orDash(p.Cell.Toolkit), orDash(strings.Join(p.Cell.SMs, " ")),
			orDash(strings.Join(p.Cell.PTX, " ")), image, p.Key[:min(len(p.Key), len("sha256:")+12)])
	}
	return tw.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

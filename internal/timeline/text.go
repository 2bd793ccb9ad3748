package timeline

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteText writes a table of the steps, and what the pipeline itself cost.
func (r Run) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CELL\tSTEP\tSECONDS")
	for _, l := range r.Lanes {
		for _, s := range l.Spans {
			fmt.Fprintf(t, "%s\t%s\t%.1f\n", l.Name, s.Step, s.Took)
		}
		if len(l.Spans) > 1 {
			fmt.Fprintf(t, "%s\tall, outside its steps\t%.1f, %.1f\n", l.Name, l.Took, l.Outside)
		}
	}
	t.Flush()
	_, err := fmt.Fprintf(w, "%.1f s in all: %.1f s inside the steps of cells, %.1f s outside\n", r.Wall, r.Inside, r.Outside)
	return err
}

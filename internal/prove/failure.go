package prove

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/waqasm86/llcuda/internal/serve"
)

// Codes of failures that serve has no diagnosis for.
const (
	CodeOnCPU       = "came-up-on-cpu"
	CodeLayers      = "layers-on-cpu"
	CodeNotANumber  = "not-a-number"
	CodeWrongAnswer = "wrong-answer"
	CodeNoAnswer    = "no-answer"
	CodeTimeout     = "timeout"
	CodeStalled     = "stalled"
	CodeDied        = "died"
)

// Failure is why a proof failed on one device.
type Failure struct {
	// Code is one of facts' reason codes, of serve's or of those above.
	Code string `json:"code"`
	// CUDAError is 0 where it is none.
	CUDAError int `json:"cuda_error,omitempty"`
	// Text is a sentence without an end, Fix what to do.
	Text string `json:"text"`
	Fix  string `json:"fix,omitempty"`
	// Line is the line of llama-server's log that told it, Tail its last lines.
	Line string   `json:"line,omitempty"`
	Tail []string `json:"tail,omitempty"`
}

// maxTail is how many lines a failure keeps.
const maxTail = 12

// failureOf explains the error of a server.
func failureOf(err error) *Failure {
	var (
		died     *serve.DiedError
		onCPU    *serve.CPUError
		stalled  *serve.StallError
		nan      *serve.NotANumberError
		hinted   interface{ Hint() string }
		f        = &Failure{Code: CodeNoAnswer, Text: err.Error()}
		diagnose = func(code string, d serve.Diagnosis, tail []string) {
			f.Code, f.Tail = code, tail[max(0, len(tail)-maxTail):]
			if d.Code != "" {
				f.Code, f.CUDAError, f.Text, f.Line = d.Code, d.CUDAError, d.Text, d.Line
			}
		}
	)
	if errors.As(err, &hinted) {
		f.Fix = hinted.Hint()
	}
	switch {
	case errors.As(err, &died):
		diagnose(CodeDied, died.Cause, died.Tail)
	case errors.As(err, &onCPU):
		diagnose(CodeOnCPU, onCPU.Cause, onCPU.Tail)
		// That it ran without the GPU is what nobody would have noticed.
		f.Text = onCPU.Error()
	case errors.As(err, &stalled):
		diagnose(CodeStalled, serve.Diagnosis{}, stalled.Tail)
	case errors.As(err, &nan):
		f.Code, f.Text = CodeNotANumber, "what it computes is garbage: "+err.Error()
		f.Fix = "check the GPU (nvidia-smi -q -d ECC, dmesg for Xid); if it is sound, the bundle is not: report it"
	case errors.Is(err, context.DeadlineExceeded):
		f.Code = CodeTimeout
		f.Fix = "see whether the GPU answers at all: nvidia-smi, dmesg for Xid"
	}
	return f
}

// Error is a bundle that failed its proof.
type Error struct {
	Bundle string
	Report Report
}

func (e *Error) Error() string {
	var all []string
	for _, d := range e.Report.Devices {
		if d.Failure != nil {
			all = append(all, fmt.Sprintf("on %s: %s", d.Title(), d.Failure.Text))
		}
	}
	return fmt.Sprintf("bundle %s failed its proof %s", e.Bundle, strings.Join(all, "; "))
}

// Hint is the cure of the first failure that has one.
func (e *Error) Hint() string {
	for _, d := range e.Report.Devices {
		if d.Failure != nil && d.Failure.Fix != "" {
			return d.Failure.Fix
		}
	}
	return ""
}

// ExitCode is 5: the GPU proof failed.
func (e *Error) ExitCode() int { return 5 }

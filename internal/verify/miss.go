package verify

import (
	"cmp"
	"slices"
)

// Codes of misses. They are stable: scripts may look for them.
const (
	FileMissing      = "file-missing"
	SASSMissing      = "sass-missing"
	SASSUnexpected   = "sass-unexpected"
	PTXMissing       = "ptx-missing"
	PTXUnexpected    = "ptx-unexpected"
	PTXISADiffers    = "ptx-isa-differs"
	Compressed       = "compressed"
	DeviceUnexpected = "device-code-unexpected"
	DeviceMissing    = "device-code-missing"
	RelocatableCode  = "relocatable-code"
	MixedOwner       = "mixed-units"
	ToolkitDiffers   = "toolkit-differs"
	RunpathWrong     = "runpath"
	LibraryMissing   = "missing-library"
	GlibcTooNew      = "glibc-too-new"
	LibstdcxxTooNew  = "libstdcxx-too-new"
	BuildPathLeaked  = "build-path"
	UserNamed        = "user-name"
	DebugData        = "debug-data"
	CPUBaseline      = "cpu-baseline"
	ExecStack        = "execstack"
	TextRel          = "textrel"
	LinkOutside      = "link-outside"
	WitnessDiffers   = "cuobjdump-differs"
	WitnessFailed    = "cuobjdump-failed"
)

// Miss is one promise that a file does not keep.
type Miss struct {
	// Code is one of the constants above.
	Code string `json:"code"`
	// File is the path in the report.
	File string `json:"file"`
	// SM is the target concerned, with its suffix; empty where none is.
	SM string `json:"sm,omitempty"`
	// Text says what is wrong, in a sentence without a full stop.
	Text string `json:"text"`
	// Fix says what to change.
	Fix string `json:"fix,omitempty"`
}

func (m Miss) String() string {
	s := m.File + ": " + m.Text
	if m.Fix != "" {
		s += " (" + m.Fix + ")"
	}
	return s
}

// order sorts by file; within one the order of the checks stays.
func order(list []Miss) []Miss {
	slices.SortStableFunc(list, func(a, b Miss) int { return cmp.Compare(a.File, b.File) })
	return list
}

package facts

// Kernels are the kernels of a file by name, and which targets have them.
type Kernels struct {
	// Targets are ordered: machine code first, then by SM. Sets name them.
	Targets []KernelTarget `json:"targets"`
	// Sets lists each distinct combination of targets once, the one with most
	// kernels first. More than one set means that some SM lacks a kernel.
	Sets []KernelSet `json:"sets"`
	// Differ counts kernels that some unit has for fewer targets than the images
	// of that unit are for.
	Differ int `json:"differ"`
}

// KernelTarget is one target, "sm_75" for machine code and "compute_75" for
// PTX, with how many kernels there are for it and in how many units.
type KernelTarget struct {
	Name    string `json:"name"`
	Units   int    `json:"units"`
	Kernels int    `json:"kernels"`
}

// KernelSet are the kernels that a file has for the same targets.
type KernelSet struct {
	In []string `json:"in"`
	// Lacks are the targets of the same units without them: those that Differ
	// counts. A target of other units only is in neither list.
	Lacks   []string `json:"lacks,omitempty"`
	Count   int      `json:"count"`
	Kernels []Kernel `json:"kernels"`
}

// Kernel is one name.
type Kernel struct {
	// Name is as the linker sees it, Demangled as it was written; "" where they
	// are the same.
	Name      string `json:"name"`
	Demangled string `json:"demangled,omitempty"`
	// Units counts the units with it.
	Units int `json:"units"`
}

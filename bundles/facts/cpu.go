package facts

// CPU counts the instructions of a file for x86-64 by extension. What a file
// holds is not what it executes: see Dispatch.
type CPU struct {
	// Level is the first level of the x86-64 psABI that has all that the code
	// uses of such levels: "x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4". Some
	// extensions are in none ("aes", "amx").
	Level string `json:"level"`
	// Functions is how many were found, Instructions how many were decoded.
	Functions    int   `json:"functions"`
	Instructions int64 `json:"instructions"`
	// Baseline counts functions with SSE or SSE2 and nothing beyond, Beyond those
	// with any extension listed in Uses.
	Baseline int `json:"baseline"`
	Beyond   int `json:"beyond"`
	// Uses are the extensions beyond what every x86-64 has.
	Uses []CPUUse `json:"uses"`
	// Dispatch are signs that the file asks which processor it runs on: "cpuid"
	// (the instruction), "ifunc", or the symbols of the compiler's help for it.
	Dispatch []string `json:"dispatch,omitempty"`
	// Undecoded counts functions of which only a part was decoded: there is data
	// in them, or an extension too new.
	Undecoded int `json:"undecoded,omitempty"`
	// Uncovered is how many bytes of code neither the unwind table nor a symbol
	// accounts for. They are decoded too, but may be data.
	Uncovered int64 `json:"uncovered,omitempty"`
}

// CPUUse is one extension, by the name that /proc/cpuinfo has for it where it
// has one ("avx2", "sse4_1"), "avx512" for F, CD, BW, DQ and VL together.
type CPUUse struct {
	ISA          string `json:"isa"`
	Instructions int64  `json:"instructions"`
	Functions    int    `json:"functions"`
	// First is the first function with one: its name, or its address.
	First string `json:"first"`
}

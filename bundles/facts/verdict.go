package facts

import "time"

// Verdicts on a candidate, best first.
const (
	// VerdictNative: SASS on every visible GPU.
	VerdictNative = "native"
	// VerdictJIT: PTX somewhere; works, with a slow first start.
	VerdictJIT = "jit"
	// VerdictCPU: holds no GPU code.
	VerdictCPU = "cpu"
	// VerdictUnknown: a fact it depends on is unknown; chosen only when asked.
	VerdictUnknown = "unknown"
	// VerdictRefused: will not run, the reasons say why.
	VerdictRefused = "refused"
)

// Reason codes. The number behind each is the CUDA error that a program would
// see; where there is none, none is given.
const (
	DriverTooOld         = "driver-too-old"          // 35
	PTXISATooNew         = "ptx-isa-too-new"         // 222
	NoKernelImage        = "no-kernel-image"         // 209; 500 for relocatable code
	CompressionTooNew    = "compression-too-new"     // 200
	BadImage             = "bad-image"               // 300, 218, 999
	GPUDropped           = "gpu-dropped-by-driver"   // 100, inferred
	NoGPU                = "no-gpu"                  // 100
	NoDriver             = "no-driver"               // 35
	StubLibcuda          = "stub-libcuda"            // 34
	DriverMismatch       = "driver-mismatch"         // 803
	CompatNotSupported   = "compat-not-supported"    // 804
	JITMissing           = "jit-missing"             // 221
	GlibcTooOld          = "glibc-too-old"           //
	LibstdcxxTooOld      = "libstdcxx-too-old"       //
	MissingLibrary       = "missing-library"         //
	RuntimeLacksSM       = "runtime-lacks-sm"        //
	CallNeedsNewerDriver = "call-needs-newer-driver" // 36
	CPUISA               = "cpu-isa"                 //
	Platform             = "platform"                //
	UnknownFact          = "unknown-fact"            //
	DamagedFile          = "damaged-file"            // found when a bundle that failed is read again
)

// Reason says why a candidate got its verdict.
type Reason struct {
	Code string `json:"code"`
	// CUDAError is the CUDA error number a program would meet; 0 = none.
	CUDAError int `json:"cuda_error,omitempty"`
	// Part is "app" or "runtime".
	Part  string `json:"part,omitempty"`
	File  string `json:"file,omitempty"`
	Units int    `json:"units,omitempty"`
	Of    int    `json:"of,omitempty"`
	Need  *Need  `json:"need,omitempty"`
	Have  *Need  `json:"have,omitempty"`
	// Sure is the certainty of the weakest fact used.
	Sure string `json:"sure,omitempty"`
	// Fix is what to do, ready to type or to follow.
	Fix string `json:"fix,omitempty"`
	// Text is one plain sentence.
	Text string `json:"text"`
}

// Need is what is asked for, or what is there.
type Need struct {
	CUDA    string `json:"cuda,omitempty"`
	Driver  string `json:"driver,omitempty"`
	Glibc   string `json:"glibc,omitempty"`
	Glibcxx string `json:"glibcxx,omitempty"`
	Library string `json:"library,omitempty"`
}

// GPUVerdict is the verdict of one candidate on one GPU.
type GPUVerdict struct {
	Index   int    `json:"index"`
	UUID    string `json:"uuid,omitempty"`
	CC      string `json:"cc,omitempty"`
	Verdict string `json:"verdict"`
	// Via is "sass" or "ptx"; nil where it does not run.
	Via     *string  `json:"via"`
	Reasons []Reason `json:"reasons"`
}

// Candidate is one bundle (or foreign file) and its verdict.
type Candidate struct {
	// Bundle is the bundle's id, or the path of a foreign file.
	Bundle  string `json:"bundle"`
	Verdict string `json:"verdict"`
	// Reasons is the union over GPUs, and what concerns the whole host.
	Reasons []Reason     `json:"reasons"`
	GPUs    []GPUVerdict `json:"gpus"`
	// Runtimes are the ways to the CUDA runtime that were tried, best first, up to
	// the one that fits; nil where the bundle needs none or has no choice.
	Runtimes []RuntimeVerdict `json:"runtimes,omitempty"`
}

// RuntimeVerdict is one way to a bundle's CUDA runtime.
type RuntimeVerdict struct {
	// Runtime is "host" or the digest of a runtime part, Form "host", "lean" or "stock".
	Runtime string `json:"runtime"`
	Form    string `json:"form"`
	// Verdict is that of the bundle with it.
	Verdict string `json:"verdict"`
	// Chosen marks the one that the candidate's verdict is of.
	Chosen bool `json:"chosen,omitempty"`
	// Text says in a sentence what it is, or what speaks against it.
	Text string `json:"text"`
}

// Choice is the one bundle that will be used.
type Choice struct {
	Bundle string `json:"bundle"`
	// Via is "sass", "ptx" or "cpu".
	Via string `json:"via"`
	// Runtime is "host", the digest of a runtime part, or "" where none is needed.
	Runtime string `json:"runtime,omitempty"`
	// RuntimeForm is "host", "lean" or "stock"; RuntimeBecause says why none of the
	// better ones, where there are such.
	RuntimeForm    string `json:"runtime_form,omitempty"`
	RuntimeBecause string `json:"runtime_because,omitempty"`
	// Hide lists GPUs that must be hidden for the choice to hold.
	Hide []int `json:"hide"`
}

// Why is the document of `llcuda-run why --json`.
type Why struct {
	Schema int     `json:"schema"`
	Host   Host    `json:"host"`
	Choice *Choice `json:"choice"`
	// Proposal is what could be chosen if its Hide were hidden, where Choice is nil.
	Proposal *Choice `json:"proposal,omitempty"`
	// Explanation is a sentence where the choice, or that there is none, wants one.
	Explanation string      `json:"explanation,omitempty"`
	Candidates  []Candidate `json:"candidates"`
}

// Doctor is the document of `llcuda-run doctor --json`.
type Doctor struct {
	Schema int     `json:"schema"`
	Host   Host    `json:"host"`
	Choice *Choice `json:"choice"`
	// Proposal and Explanation are as in Why.
	Proposal    *Choice     `json:"proposal,omitempty"`
	Explanation string      `json:"explanation,omitempty"`
	Candidates  []Candidate `json:"candidates"`
	Problems    []Problem   `json:"problems"`
	// Proofs are the bundles that were seen to run on this machine as it is now.
	Proofs []Proof `json:"proofs,omitempty"`
}

// Proof is that a bundle ran on this driver and these GPUs, and computed right.
type Proof struct {
	Bundle  string    `json:"bundle"`
	Release string    `json:"release"`
	Time    time.Time `json:"time"`
	// Contents is the digest of the app part's tree.
	Contents string `json:"contents"`
	// Native says that the driver's compiler was forbidden.
	Native bool `json:"native"`
	// GPUs are those that it ran on; none is the CPU.
	GPUs []string `json:"gpus,omitempty"`
	// MaxDifference is the largest of a log-probability from the CPU's.
	MaxDifference float64 `json:"max_difference"`
}

// Problem is something wrong on the host, and its cure.
type Problem struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Cure string `json:"cure,omitempty"`
	// Bundles are those that it refuses; none for what is wrong with the host itself.
	Bundles []string `json:"bundles,omitempty"`
}

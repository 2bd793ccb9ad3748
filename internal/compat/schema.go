package compat

// Facts is the shape of data/cuda.yaml. Every Verified is a level of certainty:
// measured, doc, multi, single, false (from memory or inference).
type Facts struct {
	Schema         int               `json:"schema" yaml:"schema"`
	Compiled       string            `json:"compiled" yaml:"compiled"`
	Sources        map[string]string `json:"sources" yaml:"sources"`
	RuntimeMajors  RuntimeMajors     `json:"runtime_majors" yaml:"runtime_majors"`
	Toolkits       Toolkits          `json:"toolkits" yaml:"toolkits"`
	PTXISAs        PTXISAs           `json:"ptx_isas" yaml:"ptx_isas"`
	TargetMinISA   TargetMinISA      `json:"target_min_isa" yaml:"target_min_isa"`
	DriverBranches DriverBranches    `json:"driver_branches" yaml:"driver_branches"`
	GPUSupport     GPUSupport        `json:"gpu_support" yaml:"gpu_support"`
	Tegra          Tegra             `json:"tegra" yaml:"tegra"`
	ForwardCompat  ForwardCompat     `json:"forward_compat" yaml:"forward_compat"`
	Families       Families          `json:"families" yaml:"families"`
	Compression    Compression       `json:"compression" yaml:"compression"`
	Errors         Errors            `json:"errors" yaml:"errors"`
	GPUs           GPUNames          `json:"gpus" yaml:"gpus"`
}

// RuntimeMajors is what each major of cudart asks of a driver.
type RuntimeMajors struct {
	Source string         `json:"source" yaml:"source"`
	Majors []RuntimeMajor `json:"majors" yaml:"majors"`
	// FirstMajor is the first with minor-version compatibility.
	FirstMajor int `json:"first_major" yaml:"first_major"`
}

// RuntimeMajor is one of them.
type RuntimeMajor struct {
	Major     int    `json:"major" yaml:"major"`
	MinCUDA   string `json:"min_cuda" yaml:"min_cuda"`
	MinDriver string `json:"min_driver" yaml:"min_driver"`
	Verified  string `json:"verified" yaml:"verified"`
}

// Toolkits lists CUDA releases.
type Toolkits struct {
	Source   string    `json:"source" yaml:"source"`
	Releases []Toolkit `json:"releases" yaml:"releases"`
}

// Toolkit is one CUDA release.
type Toolkit struct {
	Version    string     `json:"version" yaml:"version"`
	PTXISA     SureISA    `json:"ptx_isa" yaml:"ptx_isa"`
	MinDrivers MinDrivers `json:"min_drivers" yaml:"min_drivers"`
	SMs        SMList     `json:"sms" yaml:"sms"`
	Note       string     `json:"note,omitempty" yaml:"note"`
}

// SureISA is a PTX ISA and how sure it is.
type SureISA struct {
	ISA      string `json:"isa" yaml:"isa"`
	Verified string `json:"verified" yaml:"verified"`
}

// MinDrivers maps point releases to NVIDIA's minimum driver for them.
type MinDrivers struct {
	Verified string            `json:"verified" yaml:"verified"`
	Map      map[string]string `json:"map,omitempty" yaml:"map"`
}

// SMList is what a toolkit compiles for.
type SMList struct {
	Verified string   `json:"verified" yaml:"verified"`
	List     []string `json:"list" yaml:"list"`
}

// PTXISAs maps PTX ISA versions to CUDA versions.
type PTXISAs struct {
	Source string `json:"source" yaml:"source"`
	ISAs   []ISA  `json:"isas" yaml:"isas"`
}

// ISA is one of them.
type ISA struct {
	ISA      string `json:"isa" yaml:"isa"`
	CUDA     string `json:"cuda" yaml:"cuda"`
	Verified string `json:"verified" yaml:"verified"`
}

// TargetMinISA says with which PTX ISA a target appeared.
type TargetMinISA struct {
	Source  string   `json:"source" yaml:"source"`
	Targets []Target `json:"targets" yaml:"targets"`
}

// Target is one of them.
type Target struct {
	SM       string `json:"sm" yaml:"sm"`
	ISA      string `json:"isa" yaml:"isa"`
	Verified string `json:"verified" yaml:"verified"`
}

// DriverBranches lists driver branches, oldest first.
type DriverBranches struct {
	Source   string   `json:"source" yaml:"source"`
	Branches []Branch `json:"branches" yaml:"branches"`
}

// Branch is one driver branch and the CUDA version it reports.
type Branch struct {
	Branch    string `json:"branch" yaml:"branch"`
	CUDA      string `json:"cuda" yaml:"cuda"`
	MaxPTXISA string `json:"max_ptx_isa" yaml:"max_ptx_isa"`
	Verified  string `json:"verified" yaml:"verified"`
	Dropped   string `json:"dropped,omitempty" yaml:"dropped"`
}

// GPUSupport says which drivers know which GPUs.
type GPUSupport struct {
	Source      string         `json:"source" yaml:"source"`
	LastBranch  []LastBranch   `json:"last_branch" yaml:"last_branch"`
	FirstDriver []FirstDrivers `json:"first_driver" yaml:"first_driver"`
}

// LastBranch is the last branch for a range of compute capabilities, ends included.
type LastBranch struct {
	Arch     string `json:"arch" yaml:"arch"`
	From     string `json:"from" yaml:"from"`
	To       string `json:"to" yaml:"to"`
	Branch   string `json:"branch" yaml:"branch"`
	Verified string `json:"verified" yaml:"verified"`
}

// FirstDrivers is the first driver for a compute capability.
type FirstDrivers struct {
	CC       string `json:"cc" yaml:"cc"`
	Driver   string `json:"driver" yaml:"driver"`
	Verified string `json:"verified" yaml:"verified"`
}

// Tegra lists chips whose machine code must match exactly.
type Tegra struct {
	Source string `json:"source" yaml:"source"`
	Chips  []Chip `json:"chips" yaml:"chips"`
}

// Chip is one of them.
type Chip struct {
	CC       string `json:"cc" yaml:"cc"`
	Verified string `json:"verified" yaml:"verified"`
}

// ForwardCompat says over which kernel drivers a forward-compat libcuda is accepted.
type ForwardCompat struct {
	Source   string          `json:"source" yaml:"source"`
	Verified string          `json:"verified" yaml:"verified"`
	Packages []CompatPackage `json:"packages" yaml:"packages"`
}

// CompatPackage is the package of one CUDA version.
type CompatPackage struct {
	CUDA string   `json:"cuda" yaml:"cuda"`
	Base []string `json:"base" yaml:"base"`
}

// Families lists the families of the suffix f.
type Families struct {
	Source string   `json:"source" yaml:"source"`
	List   []Family `json:"list" yaml:"list"`
}

// Family is one of them.
type Family struct {
	Name     string   `json:"name" yaml:"name"`
	CC       []string `json:"cc" yaml:"cc"`
	Verified string   `json:"verified" yaml:"verified"`
}

// Compression lists the ways an image may be stored.
type Compression struct {
	Source string     `json:"source" yaml:"source"`
	Kinds  []Squeezed `json:"kinds" yaml:"kinds"`
}

// Squeezed is one of them.
type Squeezed struct {
	Kind string `json:"kind" yaml:"kind"`
	// SASSMinCUDA and SASSMinDriver are what machine code stored so asks of libcuda.
	SASSMinCUDA   string `json:"sass_min_cuda,omitempty" yaml:"sass_min_cuda"`
	SASSMinDriver string `json:"sass_min_driver,omitempty" yaml:"sass_min_driver"`
	// DecoderCUDA is the oldest libcuda in which the decoder was seen; whether
	// an older one has it is unknown.
	DecoderCUDA string `json:"decoder_cuda,omitempty" yaml:"decoder_cuda"`
	Verified    string `json:"verified" yaml:"verified"`
}

// Errors lists CUDA errors.
type Errors struct {
	Source   string      `json:"source" yaml:"source"`
	Verified string      `json:"verified" yaml:"verified"`
	List     []CUDAError `json:"list" yaml:"list"`
}

// CUDAError is one CUDA error as cudart and libcuda name it.
type CUDAError struct {
	Code    int    `json:"code" yaml:"code"`
	Runtime string `json:"runtime" yaml:"runtime"`
	Driver  string `json:"driver" yaml:"driver"`
	// Reason is the reason code that stands for it, "" where none does.
	Reason  string `json:"reason" yaml:"reason"`
	Text    string `json:"text" yaml:"text"`
	Meaning string `json:"meaning" yaml:"meaning"`
}

// GPUNames lists GPUs by compute capability.
type GPUNames struct {
	Source   string `json:"source" yaml:"source"`
	Verified string `json:"verified" yaml:"verified"`
	List     []GPUs `json:"list" yaml:"list"`
	// PCI names devices by their number on the bus.
	PCISource   string `json:"pci_source" yaml:"pci_source"`
	PCIVerified string `json:"pci_verified" yaml:"pci_verified"`
	PCI         []PCI  `json:"pci" yaml:"pci"`
}

// PCI are the device numbers of one product.
type PCI struct {
	Name string   `json:"name" yaml:"name"`
	IDs  []string `json:"ids" yaml:"ids"`
}

// GPUs are the products of one compute capability.
type GPUs struct {
	CC         string   `json:"cc" yaml:"cc"`
	Arch       string   `json:"arch" yaml:"arch"`
	Names      []string `json:"names" yaml:"names"`
	Datacenter []string `json:"datacenter,omitempty" yaml:"datacenter"`
}

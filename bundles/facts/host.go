package facts

// Host is what is known of one machine. A field that could not be read is
// absent and named in Unknown with the reason.
type Host struct {
	// Platform is "linux/amd64".
	Platform string `json:"platform,omitempty"`
	// Driver is nil where there is no NVIDIA driver or nothing could be read of it.
	Driver *Driver `json:"driver,omitempty"`
	// GPUs is nil where they could not be listed, and empty where there is none.
	GPUs    []GPU  `json:"gpus"`
	Libc    string `json:"libc,omitempty"`
	Glibcxx string `json:"glibcxx,omitempty"`
	// CPU lists the features that decide between CPU variants ("avx2", "avx512f").
	CPU []string `json:"cpu,omitempty"`
	// Env holds the variables that change what CUDA sees or loads.
	Env  map[string]string `json:"env,omitempty"`
	Libs []HostLib         `json:"libs,omitempty"`
	// Lacks are system libraries that were looked for and are not there
	// ("libgomp.so.1"); one in neither Libs nor Lacks was not looked for.
	Lacks []string `json:"lacks,omitempty"`
	// Where holds marks of the environment: "container", "wsl2", "colab", "kaggle".
	Where []string `json:"where,omitempty"`
	// Sources maps a field ("driver.cuda", "gpus", "libc") to who or what told it.
	Sources map[string]string `json:"sources,omitempty"`
	// Unknown maps a field ("driver", "gpus[0].memory") to why it is not known.
	Unknown map[string]string `json:"unknown,omitempty"`
}

// Driver is the NVIDIA driver, its two halves apart.
type Driver struct {
	// Kernel is the version of the loaded kernel module.
	Kernel string `json:"kernel,omitempty"`
	// Libcuda is the version of the user-mode library that a program would load.
	Libcuda string `json:"libcuda,omitempty"`
	// CUDA is the version that libcuda reports ("12.2").
	CUDA string `json:"cuda,omitempty"`
	// Compat marks a libcuda that is not the driver's own (forward-compat package).
	Compat bool `json:"compat"`
	// InitError is what libcuda's own start answered, where it was asked and
	// failed: 803, 804, 100, 999.
	InitError int `json:"init_error,omitempty"`
	// Source names who said so: "nvml", "libcuda", "nvidia-smi", "proc", "given".
	Source string `json:"source,omitempty"`
	// Dir is the folder of the driver's own libcuda.
	Dir string `json:"dir,omitempty"`
	// DirNeeded marks a Dir that the loader's default search would not find.
	DirNeeded bool `json:"dir_needed,omitempty"`
}

// GPU is one device.
type GPU struct {
	Index int    `json:"index"`
	Name  string `json:"name,omitempty"`
	// CC is the compute capability, "7.5".
	CC   string `json:"cc,omitempty"`
	UUID string `json:"uuid,omitempty"`
	// Memory is in bytes; 0 where unknown.
	Memory int64 `json:"memory,omitempty"`
	// Visible is false for a GPU that CUDA_VISIBLE_DEVICES hides, or that is on
	// the bus and no longer known to the driver.
	Visible bool `json:"visible"`
	MIG     bool `json:"mig"`
	// MIGs are the UUIDs of its MIG instances.
	MIGs []string `json:"migs,omitempty"`
	// PCI is the device's bus address.
	PCI string `json:"pci,omitempty"`
	// PCIID is its vendor and device number on the bus, "10de:1eb8"; it tells
	// what a GPU is that the driver does not list.
	PCIID string `json:"pci_id,omitempty"`
	// Dropped marks a GPU on the bus that the loaded driver does not support any more.
	Dropped bool `json:"dropped,omitempty"`
}

// HostLib is a CUDA library found on the host.
type HostLib struct {
	Soname  string `json:"soname"`
	Path    string `json:"path"`
	Version string `json:"version,omitempty"`
	// DirNeeded marks a copy that the loader's default search would not find:
	// it finds none of that name, or another one.
	DirNeeded bool `json:"dir_needed,omitempty"`
}

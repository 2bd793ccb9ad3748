package facts

// Report is what inspect found in one or more files.
type Report struct {
	Schema int    `json:"schema"`
	Files  []File `json:"files"`
}

// File is the truth about one file, read from its bytes.
type File struct {
	// Path is relative to the inspected directory, with forward slashes; for
	// a single inspected file it is the path as given.
	Path string `json:"path"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// Link is the target of a symbolic link: it is noted, not followed, and all
	// else stays empty.
	Link string `json:"link,omitempty"`
	// ELF is nil where the file is not an ELF object.
	ELF *ELF `json:"elf,omitempty"`
	// Device is nil where the file carries no device code.
	Device *Device `json:"device,omitempty"`
	// Problems are what is wrong with the file and what to do about it; filled
	// by inspect, not kept in a manifest.
	Problems []Problem `json:"problems,omitempty"`
}

// ELF is what the dynamic linker and libc will ask of a host.
type ELF struct {
	Needed []string `json:"needed,omitempty"`
	// Runpath holds DT_RUNPATH (or DT_RPATH, which is a finding) split at colons.
	Runpath []string `json:"runpath,omitempty"`
	Soname  string   `json:"soname,omitempty"`
	// Glibc is the highest GLIBC_x.y version the file requires, "" if none.
	Glibc string `json:"glibc,omitempty"`
	// GlibcSymbol is one symbol that forces Glibc.
	GlibcSymbol string `json:"glibc_symbol,omitempty"`
	// GlibcBecause says what forces Glibc where no symbol does, such as packed
	// relocations.
	GlibcBecause string `json:"glibc_because,omitempty"`
	// Glibcxx is the highest GLIBCXX_x.y.z version required, "" if none, and
	// GlibcxxSymbol one symbol that forces it.
	Glibcxx       string `json:"glibcxx,omitempty"`
	GlibcxxSymbol string `json:"glibcxx_symbol,omitempty"`
	// CXXABI is the highest CXXABI_x.y.z version required, "" if none, and
	// CXXABISymbol one symbol that forces it.
	CXXABI       string `json:"cxxabi,omitempty"`
	CXXABISymbol string `json:"cxxabi_symbol,omitempty"`
	// Needs says of each library in Needed who brings it; filled where the
	// files around this one are known.
	Needs []LibraryNeed `json:"needs,omitempty"`
	// NVIDIA is set for a library that NVIDIA ships.
	NVIDIA *Redistributable `json:"nvidia,omitempty"`
	// CPU is what processor the code asks for; nil where it was not decoded.
	CPU *CPU `json:"cpu,omitempty"`
	// BuildPaths are absolute paths of the build machine that leaked into the file.
	BuildPaths []string `json:"build_paths"`
	// Users are names of people or accounts on the build machine.
	Users []string `json:"users,omitempty"`
	// Findings are things that make the file less portable or less safe:
	// "rpath", "textrel", "execstack", "no-sections", a version of glibc that is
	// no release's ("glibc_private"), and what strip would have removed:
	// "debug-info", "debug-link", "symtab".
	Findings []string `json:"findings,omitempty"`
}

// Redistributable is a library that NVIDIA ships, recognised by its SONAME.
type Redistributable struct {
	// Library is its name without "lib": "cublasLt".
	Library string `json:"library"`
	// Name is the version in the file's name, Content what the file itself says
	// (its version function, which is read, not run); "" where it does not.
	Name    string `json:"name,omitempty"`
	Content string `json:"content,omitempty"`
	// Version is Name where Content agrees, and Content where not; "" is unknown.
	Version string `json:"version,omitempty"`
}

// Device is the device code of one file.
type Device struct {
	// Toolkit is the CUDA release ("12.4") that made the cubins; "" where no
	// cubin says so, "mixed" where they disagree.
	Toolkit string `json:"toolkit,omitempty"`
	// Toolkits are those of a mixed file, oldest first.
	Toolkits []string `json:"toolkits,omitempty"`
	// Units counts translation units: containers that a fat-binary wrapper
	// points to, in a bare fat binary all containers.
	Units  int     `json:"units"`
	Cudart *Cudart `json:"cudart,omitempty"`
	// SASS and PTX are the summary for people; floors come from Groups.
	SASS   []Target `json:"sass"`
	PTX    []Target `json:"ptx"`
	Groups []Group  `json:"groups"`
	// List is every unit by its place in the file; nil where it was not asked for.
	List []Unit `json:"list,omitempty"`
	// Ignored counts containers that are reported and never judged.
	Ignored *Ignored `json:"ignored,omitempty"`
	// Relocatable lists the inputs of relocatable device code
	// (__nv_relfatbin): they are judged only for such code.
	Relocatable []Group `json:"relocatable,omitempty"`
	// Kernels compares the kernels between targets; nil where it was not asked for.
	Kernels *Kernels  `json:"kernels,omitempty"`
	Unknown []Unknown `json:"unknown,omitempty"`
	// NVIDIA says how NVIDIA's units were told from others; nil where there are none.
	NVIDIA *NVIDIA `json:"nvidia,omitempty"`
	Floors []Floor `json:"floors,omitempty"`
}

// Cudart says how the CUDA runtime is linked.
type Cudart struct {
	// Link is "shared" or "static".
	Link string `json:"link"`
	// Major is the runtime's major version; 0 where a static one does not say.
	Major int `json:"major,omitempty"`
}

// Target summarises one SM over all units of a file.
type Target struct {
	// SM keeps its suffix: "75", "90a", "100f".
	SM string `json:"sm"`
	// ISA is the PTX ISA version ("8.4"), empty for SASS. Where units
	// disagree there is one Target for each.
	ISA   string `json:"isa,omitempty"`
	Units int    `json:"units"`
	// Compression is "none", "lz4", "zstd", "zlib" or "lz4-frame".
	Compression string `json:"compression"`
	// Entries counts the stored images where that is not Units: a unit of
	// cuBLAS holds several for one SM.
	Entries int `json:"entries,omitempty"`
}

// NVIDIA says how NVIDIA's units were told from others.
type NVIDIA struct {
	// By is "digest": every stored image is one of NVIDIA's static libraries; or
	// "soname": they are in no table, and only the library's name was there to
	// go by. An owner "nvidia" then rests on the name and its version node, and
	// is single; where these do not vouch for it the owner is "unknown".
	By string `json:"by"`
	// Of names the library that the images are of, "cublas-12.4.5.8".
	Of []string `json:"of,omitempty"`
}

// How NVIDIA's units were told.
const (
	ByDigest = "digest"
	BySoname = "soname"
)

// Owner of a group of units, see Group.
const (
	OwnerOwn     = "own"
	OwnerNVIDIA  = "nvidia"
	OwnerMixed   = "mixed"
	OwnerUnknown = "unknown"
)

// Group is a distinct set of images, and how many units hold exactly it.
type Group struct {
	Units int `json:"units"`
	// Owner is "own", "nvidia", "mixed" (some images are NVIDIA's, some are not),
	// or "unknown": the library is called as one of NVIDIA's and does not look
	// like it. It is left out for an empty group that is not NVIDIA's.
	Owner string `json:"owner,omitempty"`
	// Empty marks units that define no kernel and no device variable: they are
	// counted and never a miss.
	Empty bool `json:"empty,omitempty"`
	// Linked marks a version-2 container: the linked image of relocatable code.
	Linked bool `json:"linked,omitempty"`
	// Pruned marks units of NVIDIA's, told by digest, that lack images which
	// NVIDIA's library has in them.
	Pruned bool `json:"pruned,omitempty"`
	// Images are ordered by kind and SM; several of one kind and SM stand as they
	// do in the file, since a driver takes the first of them.
	Images []Image `json:"images,omitempty"`
}

// Kinds of images in a fat binary.
const (
	KindSASS = "sass"
	KindPTX  = "ptx"
)

// Image is one entry of a fat-binary container.
type Image struct {
	// Kind is "sass", "ptx", or the name of another entry kind ("nvvm-ir", "mercury").
	Kind string `json:"kind"`
	SM   string `json:"sm"`
	// ISA is the PTX text's .version, which is what the driver obeys; the
	// header's where the text has none.
	ISA string `json:"isa,omitempty"`
	// ISAHeader is the entry header's PTX ISA version.
	ISAHeader   string `json:"isa_header,omitempty"`
	Compression string `json:"compression"`
	// Holds is the SM that the payload itself names, where it is not that of the
	// entry, by which a driver chooses.
	Holds string `json:"holds,omitempty"`
	// Unpadded marks a zlib payload whose stream ends with its last byte: a driver
	// was seen to fail on such PTX, and on no other.
	Unpadded bool `json:"unpadded,omitempty"`
	// Digest stands where the owner is "nvidia" by digest: the sum, modulo 2^128,
	// over the units of the group, of the first 16 bytes of the SHA-256 of this
	// image as it is stored; in hexadecimal. Of these compat.Selected is made.
	Digest string `json:"digest,omitempty"`
}

// Unit is one translation unit, as its container in the file has it.
type Unit struct {
	// Offset and Size are the container's, in bytes; a bare cubin's or PTX text's
	// are the file's.
	Offset int64 `json:"offset"`
	Size   int64 `json:"size"`
	// Empty and Linked are as in Group.
	Empty  bool    `json:"empty,omitempty"`
	Linked bool    `json:"linked,omitempty"`
	Images []Image `json:"images"`
}

// Ignored counts containers that no rule judges.
type Ignored struct {
	// Stub counts device-link stubs.
	Stub int `json:"stub,omitempty"`
	// Relocatable counts the inputs in __nv_relfatbin; 0 where there is a
	// linked image, since they are judged then.
	Relocatable int `json:"relocatable,omitempty"`
	// Images are what the stubs hold, as cuobjdump lists it.
	Images []Image `json:"images,omitempty"`
}

// Unknown names something in a file whose meaning is not established.
type Unknown struct {
	What  string `json:"what"`
	Units int    `json:"units"`
}

// Ways in which code runs on a GPU, worst last.
const (
	ViaSASS = "sass"
	ViaPTX  = "ptx"
	ViaNone = "none"
)

// Floor is the oldest driver with which a file or part runs on a range of
// compute capabilities. Floors are ordered: the first whose CC matches (and
// whose Except does not) decides; a cc that none matches has no kernel image.
type Floor struct {
	// CC is "8.6", "5.0-6.1" (both ends in), "8.6-8.x" (same major, open) or "9.0+".
	CC     string   `json:"cc"`
	Except []string `json:"except,omitempty"`
	// Via is "sass", "ptx" or "none".
	Via string `json:"via"`
	// MinCUDA is the CUDA version that libcuda must report at least; nil = no demand known.
	MinCUDA *string `json:"min_cuda,omitempty"`
	// MinDriver decides within its own driver branch only; nil = unknown, then MinCUDA alone counts.
	MinDriver *string `json:"min_driver,omitempty"`
	// Lacking says how many units have no usable image, for Via "none".
	Lacking *Lacking `json:"lacking,omitempty"`
	Because []string `json:"because,omitempty"`
	// Sure is the certainty of the weakest fact used: measured, doc, multi, single, false.
	Sure string `json:"sure,omitempty"`
}

// Lacking counts units without a usable image.
type Lacking struct {
	Units int `json:"units"`
	Of    int `json:"of"`
}

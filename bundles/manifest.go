package bundles

import "github.com/waqasm86/llcuda/bundles/facts"

// Names of the files beside the parts of a release.
const (
	ManifestName  = "manifest.json"
	SignatureName = "manifest.json.minisig"
	SumsName      = "SHA256SUMS"
	// LatestName is the file of a folder or mirror that names its newest
	// release. It is not signed: what it can do is bounded by the manifest's
	// sequence, see Open.
	LatestName = "latest"
	// InfoName is the file inside an app part that says what the part is.
	InfoName = "bundle.json"
)

// Manifest is one release: every part with its size and hash, the facts read
// from its files and the floors computed from them, and the bundles made of
// those parts. In the runner the only way to a *Manifest is Open.
type Manifest struct {
	Schema int `json:"schema"`
	// Release is the tag.
	Release string `json:"release"`
	// Sequence grows with every release of a source; a runner refuses a
	// smaller one than it has seen.
	Sequence int64 `json:"sequence"`
	// Tool is the version of llcuda-build that wrote the manifest.
	Tool string `json:"tool"`
	// Parts are keyed by the digest of the packed file: "sha256:<hex>".
	Parts   map[string]Part `json:"parts"`
	Bundles []Bundle        `json:"bundles"`
}

// Kinds of parts.
const (
	PartApp     = "app"
	PartRuntime = "runtime"
)

// Part is one content-addressed tarball.
type Part struct {
	// Kind is "app" or "runtime".
	Kind string `json:"kind"`
	// Form of a runtime: "lean" or "stock"; empty for an app.
	Form string `json:"form,omitempty"`
	Name string `json:"name"`
	// Size is in bytes, packed.
	Size int64 `json:"size"`
	// Contents is the digest of the unpacked tree, see TreeDigest.
	Contents string `json:"contents"`
	// Unpacked is the sum of the file sizes, in bytes.
	Unpacked int64 `json:"unpacked,omitempty"`
	// Release names the earlier release that holds the file; nil = this one.
	Release *string `json:"release"`
	// Glibc and Glibcxx are the highest versions any file of the part requires.
	Glibc   string `json:"glibc,omitempty"`
	Glibcxx string `json:"glibcxx,omitempty"`
	// CPU is the baseline: "x86-64".
	CPU    string        `json:"cpu,omitempty"`
	Files  []facts.File  `json:"files,omitempty"`
	Floors []facts.Floor `json:"floors,omitempty"`
	// Needs are libraries that neither the part, nor libc, nor the driver brings.
	Needs    []Need    `json:"needs,omitempty"`
	Provides []Library `json:"provides,omitempty"`
	Lean     *Lean     `json:"lean,omitempty"`
}

// Need is a library that something else must provide.
type Need struct {
	Soname string `json:"soname"`
	// Min is the oldest version that will do; empty = any of this SONAME.
	Min string `json:"min,omitempty"`
}

// Library is a library that a runtime part provides.
type Library struct {
	Soname  string `json:"soname"`
	Version string `json:"version,omitempty"`
}

// Lean says what a pruned runtime kept.
type Lean struct {
	// Of names what was pruned: "cublas-12.4.5.8".
	Of string `json:"of"`
	// Selected is, per compute capability, what the driver would choose.
	Selected map[string]Selected `json:"selected"`
}

// Selected is the set of images that a driver would choose for one compute
// capability: Units counts the units of NVIDIA's that have one, Digest is over the
// digests of the images, in whatever order they lie (see internal/compat.Selected).
type Selected struct {
	Units  int    `json:"units"`
	Digest string `json:"digest"`
}

// RuntimeHost in Bundle.Runtime stands for a fit copy on the host.
const RuntimeHost = "host"

// Bundle is what one cell made: an app part and the runtimes that may go with it.
type Bundle struct {
	ID       string `json:"id"`
	Cell     string `json:"cell"`
	Platform string `json:"platform"`
	// Toolkit is "12.4.1"; empty for a bundle without CUDA.
	Toolkit string `json:"toolkit,omitempty"`
	Image   Image  `json:"image"`
	Source  Source `json:"source"`
	// Draft marks what `build --draft` made in folders kept from an earlier build.
	Draft bool `json:"draft,omitempty"`
	// Faster are SMs on which a measurement showed this bundle to be faster than
	// those of older toolkits: there it is chosen before fewer bytes are.
	Faster []string `json:"faster,omitempty"`
	// App is a key of Manifest.Parts.
	App string `json:"app"`
	// Runtime lists, best first, "host" and keys of Manifest.Parts.
	Runtime []string `json:"runtime,omitempty"`
}

// Image is the container image a bundle was built in.
type Image struct {
	// Ref is what was really used; "host" for the host builder.
	Ref string `json:"ref"`
	// Digest is the image's manifest digest, empty where none is known.
	Digest string `json:"digest,omitempty"`
	// StandIn marks an image that only stands in for the one the matrix names.
	StandIn bool `json:"stand_in,omitempty"`
	// Tools are the versions recorded after the prepare step ("ninja": "1.10.1").
	Tools map[string]string `json:"tools,omitempty"`
}

// Source is the source tree a bundle was built from.
type Source struct {
	// URL is where the tree came from; never a private path.
	URL string `json:"url,omitempty"`
	Ref string `json:"ref,omitempty"`
	// Commit is the full commit id.
	Commit string `json:"commit,omitempty"`
	// Tree is the digest of the files used, for a tree with no commit or with changes.
	Tree string `json:"tree,omitempty"`
	// Fixture marks this project's own test fixture: never published to
	// GitHub, never served.
	Fixture bool `json:"fixture,omitempty"`
}

// Info is bundle.json: what a part says of itself.
type Info struct {
	Schema   int    `json:"schema"`
	Cell     string `json:"cell"`
	Platform string `json:"platform"`
	Toolkit  string `json:"toolkit,omitempty"`
	Image    Image  `json:"image"`
	Source   Source `json:"source"`
	// Draft is Bundle's.
	Draft bool `json:"draft,omitempty"`
	// SMs and PTX are what was promised and verified.
	SMs []string `json:"sms,omitempty"`
	PTX []string `json:"ptx,omitempty"`
	// CMake are the arguments of the configure step.
	CMake []string `json:"cmake"`
	// Key is the content key of the build, see matrix.Plan. A stock part has none,
	// and that of a lean one is over no version of llcuda-build.
	Key string `json:"key,omitempty"`
	// Tool is the version of llcuda-build; empty in a runtime part, which many
	// releases share.
	Tool string `json:"tool,omitempty"`
	// Form of a runtime part, "lean" or "stock", and what a lean one kept; empty in
	// an app part.
	Form string `json:"form,omitempty"`
	Lean *Lean  `json:"lean,omitempty"`
}

// Fragment is what `build` leaves in dist/ for one bundle, and `publish` joins
// into a Manifest: the bundle and the parts it names.
type Fragment struct {
	Schema int             `json:"schema"`
	Bundle Bundle          `json:"bundle"`
	Parts  map[string]Part `json:"parts"`
}

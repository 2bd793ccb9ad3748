// Package distconsts stands in for the nested module of the same path, which
// the Dagger project replaces by a folder and publishes on no module proxy.
// Only the constants that engine, CLI, init and dnsname of v0.19.10 name are here.
package distconsts

const (
	EngineContainerName                = "dagger-engine.dev"
	DefaultEngineSockAddr              = "unix:///run/dagger/engine.sock"
	RuncPath                           = "/usr/local/bin/runc"
	DaggerInitPath                     = "/usr/local/bin/dagger-init"
	EngineDefaultStateDir              = "/var/lib/dagger"
	EngineContainerBuiltinContentDir   = "/usr/local/share/dagger/content"
	GoSDKManifestDigestEnvName         = "DAGGER_GO_SDK_MANIFEST_DIGEST"
	PythonSDKManifestDigestEnvName     = "DAGGER_PYTHON_SDK_MANIFEST_DIGEST"
	TypescriptSDKManifestDigestEnvName = "DAGGER_TYPESCRIPT_SDK_MANIFEST_DIGEST"
	AlpineVersion                      = "3.22.1"
	AlpineImage                        = "alpine:" + AlpineVersion
	GolangVersion                      = "1.25.5"
	GolangImage                        = "golang:" + GolangVersion + "-alpine"
	BusyboxVersion                     = "1.37.0"
	BusyboxImage                       = "busybox:" + BusyboxVersion
	OCIVersionAnnotation               = "org.opencontainers.image.version"
	EngineCustomCACertsDir             = "/usr/local/share/ca-certificates"
)

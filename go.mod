module github.com/waqasm86/llcuda

go 1.25.6

require (
	aead.dev/minisign v0.3.0 // signs and verifies manifests; its files are minisign's (bundles)
	dagger.io/dagger v0.19.10 // containers; asked for, and the version whose engine builds from modules (ci/engine)
	github.com/DataDog/zstd v1.5.7 // libzstd itself: packs smaller, its version decides the bytes; unpacks to where it stays (bundles)
	github.com/NVIDIA/go-nvml v0.13.4-1 // what the driver says of GPUs (internal/host)
	github.com/google/go-github/v60 v60.0.0 // releases on GitHub (internal/release)
	github.com/ianlancetaylor/demangle v0.0.0-20260724033716-83e58baca724 // kernels' names as they were written (internal/inspect)
	github.com/klauspost/compress v1.20.3 // reads zstd in pure Go: what others packed, headers, and all without cgo (bundles, internal/inspect)
	github.com/opencontainers/image-spec v1.1.1 // types of an image manifest (internal/registry)
	github.com/pierrec/lz4/v4 v4.1.33 // LZ4 frames in fat binaries (internal/inspect)
	github.com/spdx/tools-golang v0.5.7 // bills of materials as SPDX 2.3, and their check (internal/sbom)
	github.com/spf13/cobra v1.10.2 // flags after arguments, --, completion (cmd)
	github.com/spf13/pflag v1.0.9 // the flags of cobra (cmd)
	go.yaml.in/yaml/v3 v3.0.6 // the matrix, with line numbers (matrix)
	golang.org/x/mod v0.28.0 // semver: toolkits and tags (matrix, internal/release)
	golang.org/x/sync v0.19.0 // errgroup (cmd, internal/inspect)
	golang.org/x/sys v0.40.0 // flock, waitid, statfs (internal/store, internal/serve)
	golang.org/x/term v0.39.0 // terminals and passwords (internal/cli, cmd)
	oras.land/oras-go/v2 v2.6.0 // digests from image registries (internal/registry)
)

// Tests only.
require (
	github.com/getkin/kin-openapi v0.153.0 // holds the fake GitHub to GitHub's description of itself (internal/release)
	github.com/google/go-cmp v0.7.0 // differences
	github.com/rogpeppe/go-internal v1.16.0 // testscript
)

require (
	github.com/99designs/gqlgen v0.17.81 // indirect
	github.com/Khan/genqlient v0.8.1 // indirect
	github.com/adrg/xdg v0.5.3 // indirect
	github.com/anchore/go-struct-converter v0.1.0 // indirect
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	github.com/cpuguy83/go-md2man/v2 v2.0.7 // indirect
	github.com/go-logr/logr v1.4.3 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/go-openapi/jsonpointer v0.22.5 // indirect
	github.com/go-openapi/swag/jsonname v0.25.5 // indirect
	github.com/google/go-querystring v1.1.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/grpc-ecosystem/grpc-gateway/v2 v2.27.2 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/mitchellh/go-homedir v1.1.0 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/russross/blackfriday/v2 v2.1.0 // indirect
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // indirect
	github.com/sosodev/duration v1.3.1 // indirect
	github.com/vektah/gqlparser/v2 v2.5.30 // indirect
	go.opentelemetry.io/auto/sdk v1.1.0 // indirect
	go.opentelemetry.io/otel v1.38.0 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc v0.14.0 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp v0.14.0 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc v1.38.0 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp v1.38.0 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlptrace v1.38.0 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc v1.38.0 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp v1.38.0 // indirect
	go.opentelemetry.io/otel/log v0.14.0 // indirect
	go.opentelemetry.io/otel/metric v1.38.0 // indirect
	go.opentelemetry.io/otel/sdk v1.38.0 // indirect
	go.opentelemetry.io/otel/sdk/log v0.14.0 // indirect
	go.opentelemetry.io/otel/sdk/metric v1.38.0 // indirect
	go.opentelemetry.io/otel/trace v1.38.0 // indirect
	go.opentelemetry.io/proto/otlp v1.8.0 // indirect
	go.yaml.in/yaml/v4 v4.0.0 // indirect
	golang.org/x/crypto v0.42.0 // indirect
	golang.org/x/net v0.44.0 // indirect
	golang.org/x/text v0.29.0 // indirect
	golang.org/x/tools v0.37.0 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20250825161204-c5933d9347a5 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20250825161204-c5933d9347a5 // indirect
	google.golang.org/grpc v1.76.0 // indirect
	google.golang.org/protobuf v1.36.9 // indirect
)

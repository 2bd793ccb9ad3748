package serve

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestArgumentsOfTheUserWin(t *testing.T) {
	const ours = "--model /m.gguf --host 127.0.0.1 --port 0 --verbosity 4"
	for _, c := range []struct {
		name, user, argv string
		want             Arguments
	}{
		{"none", "", ours, Arguments{Host: "127.0.0.1"}},
		{"others go after ours", "-c 4096 --jinja", ours + " -c 4096 --jinja", Arguments{Host: "127.0.0.1"}},
		{"a port", "--port 8081", "--model /m.gguf --host 127.0.0.1 --verbosity 4 --port 8081", Arguments{Host: "127.0.0.1", Port: 8081}},
		{"a port with =", "--port=8081", "--model /m.gguf --host 127.0.0.1 --verbosity 4 --port=8081", Arguments{Host: "127.0.0.1", Port: 8081}},
		{"the last port counts", "--port 1 --port 2", "--model /m.gguf --host 127.0.0.1 --verbosity 4 --port 1 --port 2", Arguments{Host: "127.0.0.1", Port: 2}},
		{"a port that is none", "--port x", "--model /m.gguf --host 127.0.0.1 --verbosity 4 --port x", Arguments{Host: "127.0.0.1"}},
		{"a port without value", "--port", "--model /m.gguf --host 127.0.0.1 --verbosity 4 --port", Arguments{Host: "127.0.0.1"}},
		{"a host", "--host ::1", "--model /m.gguf --port 0 --verbosity 4 --host ::1", Arguments{Host: "::1"}},
		{"a host with a key", "--host 0.0.0.0 --api-key k", "--model /m.gguf --port 0 --verbosity 4 --host 0.0.0.0 --api-key k", Arguments{Host: "0.0.0.0", Key: "k"}},
		{"a key with an underscore", "--host 0.0.0.0 --api_key k", "--model /m.gguf --port 0 --verbosity 4 --host 0.0.0.0 --api_key k", Arguments{Host: "0.0.0.0", Key: "k"}},
		{"two keys", "--api-key a,b", ours + " --api-key a,b", Arguments{Host: "127.0.0.1", Key: "a"}},
		{"a key in a file", "--host 0.0.0.0 --api-key-file f", "--model /m.gguf --port 0 --verbosity 4 --host 0.0.0.0 --api-key-file f", Arguments{Host: "0.0.0.0"}},
		{"a host open to all", "--host 0.0.0.0", "--model /m.gguf --port 0 --verbosity 4 --host 0.0.0.0",
			Arguments{Host: "0.0.0.0", Warnings: []string{"llama-server listens on 0.0.0.0 without an API key: whoever reaches this machine can use it; add --api-key KEY"}}},
		{"a list of hosts with an open one", "--host 127.0.0.1,::", "--model /m.gguf --port 0 --verbosity 4 --host 127.0.0.1,::",
			Arguments{Host: "127.0.0.1,::", Warnings: []string{"llama-server listens on :: without an API key: whoever reaches this machine can use it; add --api-key KEY"}}},
		{"a socket", "--host /run/x.sock", "--model /m.gguf --port 0 --verbosity 4 --host /run/x.sock", Arguments{Host: "/run/x.sock"}},
		{"a model, short", "-m /other.gguf", "--host 127.0.0.1 --port 0 --verbosity 4 -m /other.gguf",
			Arguments{Host: "127.0.0.1", OwnModel: true, Warnings: []string{"the arguments after -- name a model of their own; /m.gguf is not loaded"}}},
		{"a model with =", "--model=/other.gguf", "--host 127.0.0.1 --port 0 --verbosity 4 --model=/other.gguf",
			Arguments{Host: "127.0.0.1", OwnModel: true, Warnings: []string{"the arguments after -- name a model of their own; /m.gguf is not loaded"}}},
		{"a repository: --model would become its target", "-hf o/r", "--host 127.0.0.1 --port 0 --verbosity 4 -hf o/r",
			Arguments{Host: "127.0.0.1", OwnModel: true, Warnings: []string{"the arguments after -- name a model of their own; /m.gguf is not loaded"}}},
		{"less log", "-lv 1", "--model /m.gguf --host 127.0.0.1 --port 0 -lv 1", Arguments{Host: "127.0.0.1", Quiet: "-lv 1"}},
		{"more log", "--verbosity 5", "--model /m.gguf --host 127.0.0.1 --port 0 --verbosity 5", Arguments{Host: "127.0.0.1"}},
		{"all log", "-v", "--model /m.gguf --host 127.0.0.1 --port 0 -v", Arguments{Host: "127.0.0.1"}},
		{"no log", "--log-disable", ours + " --log-disable", Arguments{Host: "127.0.0.1", Quiet: "--log-disable"}},
		{"the CPU by layers", "-ngl 0", ours + " -ngl 0", Arguments{Host: "127.0.0.1", CPU: "-ngl 0"}},
		{"the CPU by device", "--device none", ours + " --device none", Arguments{Host: "127.0.0.1", CPU: "--device none"}},
		{"a number of layers", "-ngl 99", ours + " -ngl 99", Arguments{Host: "127.0.0.1"}},
		{"a prefix", "--api-prefix /x/", ours + " --api-prefix /x/", Arguments{Host: "127.0.0.1", Prefix: "/x"}},
		{"a certificate", "--ssl-cert-file c --ssl-key-file k", ours + " --ssl-cert-file c --ssl-key-file k", Arguments{Host: "127.0.0.1", TLS: true}},
		{"help", "--help", ours + " --help", Arguments{Host: "127.0.0.1", Answers: "--help"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ParseArguments(strings.Fields(c.user), "/m.gguf", "127.0.0.1", 0, nil)
			c.want.Argv = strings.Fields(c.argv)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOurOwnHostIsWarnedOfToo(t *testing.T) {
	if got := ParseArguments(nil, "/m", "0.0.0.0", 80, nil); len(got.Warnings) != 1 || got.Port != 80 {
		t.Errorf("got %+v", got)
	}
	if got := ParseArguments(nil, "/m", "0.0.0.0", 80, []string{"LLAMA_API_KEY=k"}); len(got.Warnings) != 0 || got.Key != "k" {
		t.Errorf("with a key in the environment: %+v", got)
	}
	if got := ParseArguments(nil, "/m", "0.0.0.0", 80, []string{"LLAMA_ARG_API_KEY_FILE=/k"}); len(got.Warnings) != 0 || got.Key != "" {
		t.Errorf("with a file of keys in the environment: %+v", got)
	}
	if got := ParseArguments(nil, "/m", "myhost", 80, []string{"LLAMA_API_KEY="}); len(got.Warnings) != 1 {
		t.Errorf("with an empty key: %+v", got)
	}
}

func TestReachable(t *testing.T) {
	for in, want := range map[string]string{
		"0.0.0.0:80": "127.0.0.1:80", "[::]:80": "[::1]:80", "127.0.0.1:1": "127.0.0.1:1", "host:5": "host:5", "nonsense": "nonsense",
	} {
		if got := reachable(in); got != want {
			t.Errorf("%s gave %s, want %s", in, got, want)
		}
	}
}

func TestChildEnv(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
		o    EnvOptions
		want []string
		gone []string
	}{
		{"nothing inherited", nil, EnvOptions{Dir: "/b"}, []string{"GGML_NO_BACKTRACE=1", "LD_LIBRARY_PATH=/b"}, nil},
		{"the driver's folder comes after the bundle's", nil, EnvOptions{Dir: "/b", DriverDir: "/usr/lib64-nvidia"},
			[]string{"GGML_NO_BACKTRACE=1", "LD_LIBRARY_PATH=/b:/usr/lib64-nvidia"}, nil},
		{"the host's CUDA libraries come between", nil, EnvOptions{Dir: "/b", LibDirs: []string{"/usr/local/cuda/lib64", "/wheel/lib"}, DriverDir: "/usr/lib64-nvidia"},
			[]string{"GGML_NO_BACKTRACE=1", "LD_LIBRARY_PATH=/b:/usr/local/cuda/lib64:/wheel/lib:/usr/lib64-nvidia"}, nil},
		{"the rest is kept as it is", []string{"PATH=/bin", "CUDA_VISIBLE_DEVICES=1", "LLAMA_ARG_CTX_SIZE=9", "ODD", "EMPTY="}, EnvOptions{Dir: "/b"},
			[]string{"PATH=/bin", "CUDA_VISIBLE_DEVICES=1", "LLAMA_ARG_CTX_SIZE=9", "ODD", "EMPTY=", "GGML_NO_BACKTRACE=1", "LD_LIBRARY_PATH=/b"}, nil},
		{"what could swap a library is dropped, twice if need be",
			[]string{"LD_PRELOAD=/x.so", "LD_LIBRARY_PATH=/evil", "LD_LIBRARY_PATH=/evil2", "LD_AUDIT=/x", "GGML_BACKEND_PATH=/x", "CUDA_INJECTION64_PATH=/x.so"}, EnvOptions{Dir: "/b"},
			[]string{"GGML_NO_BACKTRACE=1", "LD_LIBRARY_PATH=/b"}, []string{"CUDA_INJECTION64_PATH", "GGML_BACKEND_PATH", "LD_AUDIT", "LD_LIBRARY_PATH", "LD_PRELOAD"}},
		{"what fights with our arguments is dropped", []string{"LLAMA_ARG_MODEL=/x", "LLAMA_ARG_HOST=0.0.0.0", "LLAMA_ARG_PORT=1"}, EnvOptions{Dir: "/b"},
			[]string{"GGML_NO_BACKTRACE=1", "LD_LIBRARY_PATH=/b"}, []string{"LLAMA_ARG_HOST", "LLAMA_ARG_MODEL", "LLAMA_ARG_PORT"}},
		{"what names another model is dropped", []string{"LLAMA_ARG_HF_REPO=o/r", "LLAMA_ARG_HF_FILE=f", "LLAMA_ARG_MODEL_URL=u", "LLAMA_ARG_DOCKER_REPO=d", "LLAMA_ARG_MODELS_DIR=/m", "LLAMA_ARG_MODELS_PRESET=p"}, EnvOptions{Dir: "/b"},
			[]string{"GGML_NO_BACKTRACE=1", "LD_LIBRARY_PATH=/b"},
			[]string{"LLAMA_ARG_DOCKER_REPO", "LLAMA_ARG_HF_FILE", "LLAMA_ARG_HF_REPO", "LLAMA_ARG_MODELS_DIR", "LLAMA_ARG_MODELS_PRESET", "LLAMA_ARG_MODEL_URL"}},
		{"the bundle's backend is named", []string{"GGML_BACKEND_PATH=/x"}, EnvOptions{Dir: "/b", CUDABackend: "/b/libggml-cuda.so"},
			[]string{"GGML_BACKEND_PATH=/b/libggml-cuda.so", "GGML_NO_BACKTRACE=1", "LD_LIBRARY_PATH=/b"}, []string{"GGML_BACKEND_PATH"}},
		{"hidden GPUs", []string{"CUDA_VISIBLE_DEVICES=0"}, EnvOptions{Dir: "/b", HideGPUs: true},
			[]string{"CUDA_VISIBLE_DEVICES=-1", "GGML_NO_BACKTRACE=1", "LD_LIBRARY_PATH=/b"}, nil},
		{"chosen GPUs", []string{"CUDA_DEVICE_ORDER=FASTEST_FIRST"}, EnvOptions{Dir: "/b", GPUs: []string{"GPU-1", "GPU-2"}},
			[]string{"CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=GPU-1,GPU-2", "GGML_NO_BACKTRACE=1", "LD_LIBRARY_PATH=/b"}, nil},
		{"one that is set already", []string{"GGML_NO_BACKTRACE="}, EnvOptions{Dir: "/b"}, []string{"GGML_NO_BACKTRACE=", "LD_LIBRARY_PATH=/b"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, gone := ChildEnv(c.env, c.o)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.gone, gone, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheKernelsAddressesAreRead(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F92 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 100 0 0 10 0
   3: 00000000000000000000000001000000:1F93 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 111 1
   4: nonsense:1F93 0 0A 0:0 0:0 0 0 0 111 1
`
	var got []string
	for _, a := range listenRows(strings.NewReader(table), map[string]bool{"111": true}) {
		got = append(got, a.String())
	}
	if diff := cmp.Diff([]string{"127.0.0.1:8080", "[::1]:8083"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestActivityOfAProcess(t *testing.T) {
	const stat = "42 (a) b) c) S 1 42 42 0 -1 4194560 100 0 7 0 30 12 0 0 20 0 1 0"
	got := parseStat(stat)
	if got != (activity{ticks: 42, faults: 7}) {
		t.Errorf("got %+v", got)
	}
	if parseStat("nonsense") != (activity{}) || parseStat("1 (x) S") != (activity{}) {
		t.Error("nonsense has activity")
	}
	for _, c := range []struct {
		name    string
		after   activity
		elapsed time.Duration
		want    bool
	}{
		{"nothing", got, time.Second, false},
		{"a page from disk", activity{42, 8}, time.Second, true},
		{"a busy CPU", activity{142, 7}, time.Second, true},
		{"a CPU that answers health checks", activity{44, 7}, time.Second, false},
		{"the same for a minute", activity{42 + 60, 7}, time.Minute, false},
	} {
		if busy := c.after.busySince(got, c.elapsed); busy != c.want {
			t.Errorf("%s: busy is %v", c.name, busy)
		}
	}
}

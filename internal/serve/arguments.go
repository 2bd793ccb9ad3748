package serve

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Arguments is a llama-server command line and what it means for us.
type Arguments struct {
	// Argv is without the program's name: ours first, then the user's, untouched.
	Argv []string
	// Host is what the server is told to listen on; may be a list or a socket's path.
	Host string
	// Port is 0 where the server chooses one.
	Port int
	// Prefix is put before every path ("--api-prefix"), "" or "/…".
	Prefix string
	// TLS says that the server speaks https.
	TLS bool
	// Key is the first API key that the server wants, "" where it wants none or
	// reads it from a file.
	Key string
	// OwnModel says that the user's arguments name the model.
	OwnModel bool
	// CPU is the user's argument that asks for the CPU ("-ngl 0"), "" where none does.
	CPU string
	// Quiet is the user's argument that hides what Backends is read from, "" where none does.
	Quiet string
	// Answers is the user's argument that makes the server print something and
	// end ("--help"), "" where none does.
	Answers string
	// Warnings are sentences for the user.
	Warnings []string
}

// logLevel is the verbosity at which llama-server names its devices and how many
// layers went to the GPU: 4, "trace", one above its default.
const logLevel = 4

// The options that are looked for, by llama-server's names of 2026-09.
var (
	modelFlags = []string{"-m", "--model", "-mu", "--model-url", "-hf", "-hfr", "--hf-repo", "-dr", "--docker-repo", "--models-dir", "--models-preset"}
	hostFlags  = []string{"--host"}
	portFlags  = []string{"--port"}
	levelFlags = []string{"-lv", "--verbosity", "--log-verbosity"}
	keyFlags   = []string{"--api-key", "--api-key-file"}
	layerFlags = []string{"-ngl", "--gpu-layers", "--n-gpu-layers"}
	deviceFlag = []string{"-dev", "--device"}
	answerFlag = []string{"-h", "--help", "--usage", "--version", "--list-devices", "-cl", "--cache-list", "--completion-bash"}
)

// Variables that give llama-server API keys without an argument.
const (
	keyVariable     = "LLAMA_API_KEY"
	keyFileVariable = "LLAMA_ARG_API_KEY_FILE"
)

// ParseArguments puts our arguments before the user's. model is a path; host and
// port are ours, port 0 lets the server choose. The user's own --model, --host
// and --port win; env is the child's.
//
// A user's argument is recognised wherever it stands, also with "=value", which
// llama-server itself refuses: the server's own complaint is what the user
// should read then.
func ParseArguments(user []string, model, host string, port int, env []string) Arguments {
	a := Arguments{Host: host, Port: port}
	if _, v, ok := lastOf(user, modelFlags); ok {
		a.OwnModel = true
		if model != "" && v != model {
			a.warn("the arguments after -- name a model of their own; %s is not loaded", model)
		}
	} else if model != "" {
		a.Argv = append(a.Argv, "--model", model)
	}
	if _, v, ok := lastOf(user, hostFlags); ok {
		a.Host = v
	} else {
		a.Argv = append(a.Argv, "--host", host)
	}
	if _, v, ok := lastOf(user, portFlags); ok {
		a.Port = 0 // unreadable: the server will complain
		if n, err := strconv.Atoi(v); err == nil && n > 0 && n < 1<<16 {
			a.Port = n
		}
	} else {
		a.Argv = append(a.Argv, "--port", strconv.Itoa(port))
	}
	a.verbosity(user)
	if _, v, ok := lastOf(user, []string{"--api-prefix"}); ok {
		a.Prefix = strings.TrimRight(v, "/")
	}
	_, _, a.TLS = lastOf(user, []string{"--ssl-cert-file"})
	if flag, v, ok := lastOf(user, layerFlags); ok && v == "0" {
		a.CPU = flag + " 0"
	}
	if flag, v, ok := lastOf(user, deviceFlag); ok && strings.EqualFold(v, "none") {
		a.CPU = flag + " none"
	}
	if flag, _, ok := lastOf(user, answerFlag); ok {
		a.Answers = flag
	}
	a.exposure(user, env)
	a.Argv = append(a.Argv, user...)
	return a
}

func (a *Arguments) warn(format string, args ...any) {
	a.Warnings = append(a.Warnings, fmt.Sprintf(format, args...))
}

// verbosity asks for the level that Backends needs, unless the user asked for one.
func (a *Arguments) verbosity(user []string) {
	if flag, v, ok := lastOf(user, levelFlags); ok {
		if n, err := strconv.Atoi(v); err == nil && n < logLevel {
			a.Quiet = flag + " " + v
		}
	} else if _, _, loud := lastOf(user, []string{"-v", "--verbose", "--log-verbose"}); !loud {
		a.Argv = append(a.Argv, "--verbosity", strconv.Itoa(logLevel))
	}
	if flag, _, off := lastOf(user, []string{"--log-disable"}); off {
		a.Quiet = flag
	}
}

// exposure warns where others can reach a server that asks for no key.
func (a *Arguments) exposure(user, env []string) {
	inFile := false
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, keyVariable+"="); ok {
			a.Key = v
		}
		if v, ok := strings.CutPrefix(e, keyFileVariable+"="); ok {
			inFile = v != ""
		}
	}
	if flag, v, ok := lastOf(user, keyFlags); ok {
		if a.Key = v; flag == "--api-key-file" {
			a.Key = ""
		}
		a.Key, _, _ = strings.Cut(a.Key, ",")
		return
	}
	if a.Key, _, _ = strings.Cut(a.Key, ","); a.Key != "" || inFile {
		return
	}
	for host := range strings.SplitSeq(a.Host, ",") {
		if host = strings.TrimSpace(host); !loopback(host) {
			a.warn("llama-server listens on %s without an API key: whoever reaches this machine can use it; add --api-key KEY", host)
			return
		}
	}
}

// loopback says whether only this machine reaches a host. A name other than
// localhost is taken to be reachable.
func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".sock") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// lastOf finds the last of the user's arguments that is one of flags, and its
// value, "" where none follows. Like llama-server it takes "_" for "-" in long
// flags, and lets the last one win.
func lastOf(args, flags []string) (flag, value string, ok bool) {
	for i, arg := range args {
		name, inline, hasInline := strings.Cut(arg, "=")
		if strings.HasPrefix(name, "--") {
			name = strings.ReplaceAll(name, "_", "-")
		}
		if !slices.Contains(flags, name) {
			continue
		}
		flag, value, ok = name, "", true
		switch {
		case hasInline:
			value = inline
		case i+1 < len(args):
			value = args[i+1]
		}
	}
	return flag, value, ok
}

// reachable is the address at which this machine reaches a listening address.
func reachable(hostport string) string {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return hostport
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}

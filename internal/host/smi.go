package host

import (
	"context"
	"encoding/csv"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// smiAnswer is what nvidia-smi told.
type smiAnswer struct {
	// Driver is the kernel module's version, CUDA the user-mode library's.
	Driver, CUDA string
	GPUs         []gpuAnswer
}

// The header reads "Driver Version: … CUDA Version: …" through driver branch
// 595 and "KMD Version: … CUDA UMD Version: …" from 610 on.
var (
	smiCUDA   = lazyregexp.New(`CUDA (?:UMD )?Version:\s*(\d+)\.(\d+)`)
	smiDriver = lazyregexp.New(`(?:Driver|KMD) Version:\s*([0-9.]+)`)
)

func parseSMIHeader(text string) (driver, cuda string) {
	if m := smiDriver.FindStringSubmatch(text); m != nil {
		driver = m[1]
	}
	if m := smiCUDA.FindStringSubmatch(text); m != nil {
		cuda = m[1] + "." + m[2]
	}
	return driver, cuda
}

// smiFields are asked of nvidia-smi, in this order.
const smiFields = "index,name,uuid,compute_cap,memory.total,pci.bus_id,mig.mode.current"

// parseSMIList reads the lines of --query-gpu=smiFields --format=csv,noheader,nounits.
func parseSMIList(text string) ([]gpuAnswer, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.TrimLeadingSpace, r.LazyQuotes, r.FieldsPerRecord = true, true, 7
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("nvidia-smi's list cannot be read: %w", err)
	}
	gpus := []gpuAnswer{}
	for _, row := range rows {
		g := gpuAnswer{Unknown: map[string]string{}}
		value := func(i int, field string) string {
			v := strings.TrimSpace(row[i])
			if v == "" || strings.HasPrefix(v, "[") { // [N/A], [Not Supported], [Unknown Error]
				if field != "mig" { // not supported is: not on
					g.Unknown[field] = "nvidia-smi says " + strconv.Quote(v)
				}
				return ""
			}
			return v
		}
		g.Name, g.UUID, g.CC = value(1, "name"), value(2, "uuid"), value(3, "cc")
		if g.CC != "" && !isDotted(g.CC) {
			g.Unknown["cc"], g.CC = "nvidia-smi says "+strconv.Quote(g.CC), ""
		}
		if v := value(4, "memory"); v != "" {
			mib, err := strconv.ParseInt(v, 10, 40)
			if err != nil || mib < 0 {
				g.Unknown["memory"] = "nvidia-smi says " + strconv.Quote(v)
			} else {
				g.Memory = mib << 20
			}
		}
		g.PCI = pciAddress(value(5, "pci"))
		g.MIG = strings.EqualFold(value(6, "mig"), "enabled")
		gpus = append(gpus, g)
	}
	return gpus, nil
}

// smiDirs are where nvidia-smi lies where PATH does not name it: Colab, WSL,
// older containers.
var smiDirs = [...]string{"/usr/bin", "/opt/bin", "/usr/lib/wsl/lib", "/usr/local/nvidia/bin", "/run/current-system/sw/bin"}

func findSMI(t tree, env map[string]string) (string, bool) {
	for _, dir := range append(strings.Split(env["PATH"], ":"), smiDirs[:]...) {
		if p := path.Join(dir, "nvidia-smi"); path.IsAbs(dir) && t.exists(p) {
			return t.at(p), true
		}
	}
	return "", false
}

// askSMI runs nvidia-smi twice: for its header and for its list.
func (p prober) askSMI(ctx context.Context, file string) (smiAnswer, error) {
	var a smiAnswer
	header, err := p.run(ctx, []string{file}, p.env, nil)
	if err != nil {
		if words := lastLines(string(header), 3); words != "" { // it complains on stdout
			err = fmt.Errorf("%w: %s", err, words)
		}
		return a, fmt.Errorf("nvidia-smi: %w", err)
	}
	a.Driver, a.CUDA = parseSMIHeader(string(header))
	list, err := p.run(ctx, []string{file, "--query-gpu=" + smiFields, "--format=csv,noheader,nounits"}, p.env, nil)
	if err != nil {
		return a, fmt.Errorf("nvidia-smi --query-gpu: %w", err)
	}
	a.GPUs, err = parseSMIList(string(list))
	return a, err
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A release's jobs build one cell each, and those of one toolkit each make its
// runtime part.
func TestJobsThatShareARuntimeAreMerged(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "dist")
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	merge := func(to string) (string, error) {
		out, err := exec.Command("../../scripts/merge-dist.sh", from, to).CombinedOutput()
		return string(out), err
	}
	const stock = "cuda12.4.1-stock-0123456789ab.tar.zst"
	for _, cell := range []string{"cuda12.4-sm75", "cuda12.4-sm90"} {
		put("dist-"+cell+"/"+cell+"-0123456789ab.tar.zst", cell)
		put("dist-"+cell+"/"+cell+".bundle.json", "{}")
		put("dist-"+cell+"/extra/"+cell+".spdx.json", "{}")
		put("dist-"+cell+"/"+stock, "the same in both")
	}
	if out, err := merge(to); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{stock, "cuda12.4-sm75.bundle.json", "cuda12.4-sm90.bundle.json", "extra/cuda12.4-sm90.spdx.json"} {
		if _, err := os.Stat(filepath.Join(to, name)); err != nil {
			t.Error(err)
		}
	}
	// Artifacts end, and download-artifact takes what there still is.
	cells := `CELLS={"include":[{"id":"cuda12.4-sm75","toolkit":"12.4.1"},{"id":"cuda12.4-sm90","toolkit":"12.4.1"},{"id":"cpu","toolkit":""}]}`
	planned := func() (string, error) {
		c := exec.Command("../../scripts/merge-dist.sh", from, filepath.Join(t.TempDir(), "planned"))
		c.Env = append(os.Environ(), cells)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := planned(); err == nil || !strings.Contains(out, "the plan has cell cpu, and no job left it") {
		t.Errorf("without the cpu cell: %v\n%s", err, out)
	}
	put("dist-cpu/cpu.bundle.json", "{}")
	if out, err := planned(); err == nil || !strings.Contains(out, "the job files left no programs") {
		t.Errorf("without the programs: %v\n%s", err, out)
	}
	put("dist-files/llcuda-run-linux-amd64", "")
	if out, err := planned(); err != nil {
		t.Errorf("all cells: %v\n%s", err, out)
	}
	put("dist-cuda12.4-sm90/"+stock, "another")
	if out, err := merge(filepath.Join(t.TempDir(), "again")); err == nil || !strings.Contains(out, stock+" comes from two jobs") {
		t.Errorf("two files of one name: %v\n%s", err, out)
	}
}

// "Re-run failed jobs" is what RELEASE.md says, and a job that runs again in the same run may
// not make an artifact whose name an earlier attempt took, but with overwrite.
// And `echo "x=$(command)"` succeeds whatever the command did.
func TestWorkflowsMayBeRunAgainAndStopAtAFailure(t *testing.T) {
	files, err := filepath.Glob("../../.github/workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	echoed := regexp.MustCompile(`echo .*\$\(`)
	uploads := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for step := range strings.SplitSeq(string(data), "\n      - ") {
			if strings.HasPrefix(step, "uses: actions/upload-artifact@") {
				uploads++
				if !strings.Contains(step, "\n          overwrite: true") {
					t.Errorf("%s: run again, this step fails:\n%s", filepath.Base(file), step)
				}
			}
			if line := echoed.FindString(step); line != "" {
				t.Errorf("%s: the step goes on where the command fails: %s", filepath.Base(file), line)
			}
		}
	}
	if uploads < 3 {
		t.Errorf("%d uploads were looked at", uploads)
	}
}

package host

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVisibleAsCUDAReadsIt(t *testing.T) {
	same := []gpuAnswer{
		{Name: "T4", CC: "7.5", UUID: "GPU-aaaa-1"}, {Name: "T4", CC: "7.5", UUID: "GPU-aabb-2"},
		{Name: "T4", CC: "7.5", UUID: "GPU-cccc-3", MIGs: []string{"MIG-dddd", "MIG-eeee"}},
	}
	mixed := []gpuAnswer{{Name: "T4", CC: "7.5", UUID: "GPU-a"}, {Name: "A100", CC: "8.0", UUID: "GPU-b"}}
	const unset = "unset"
	for name, c := range map[string]struct {
		gpus []gpuAnswer
		list string
		want string
		sure bool
	}{
		"not set":                             {same, unset, "111", true},
		"set and empty":                       {same, "", "000", true},
		"one ordinal":                         {same, "1", "010", true},
		"ordinals in any order":               {same, " 2, 0", "101", true},
		"minus one hides all":                 {same, "-1", "000", true},
		"what follows a wrong word is hidden": {same, "0,7,1", "100", true},
		"a word that is no device":            {same, "NoDevFiles", "000", true},
		"a whole UUID":                        {same, "GPU-cccc-3", "001", true},
		"a beginning of one UUID":             {same, "GPU-aab", "010", true},
		"a beginning of two UUIDs":            {same, "GPU-aa", "000", true},
		"an empty beginning":                  {same, "GPU-", "000", true},
		"a MIG instance":                      {same, "MIG-eeee", "001", true},
		"two MIG instances of one GPU":        {same, "MIG-dddd,MIG-eeee", "001", true},
		"a MIG instance in the old form":      {same, "MIG-GPU-aaaa-1/1/0", "100", true},
		"one GPU twice":                       {same, "0,0", "100", false},
		"an ordinal among unlike GPUs":        {mixed, "0", "10", false},
		"a UUID among unlike GPUs":            {mixed, "GPU-b", "01", true},
		"all ordinals of unlike GPUs":         {mixed, "1,0", "11", true},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{}
			if c.list != unset {
				env["CUDA_VISIBLE_DEVICES"] = c.list
			}
			seen, why := visible(c.gpus, env)
			var got strings.Builder
			for _, s := range seen {
				got.WriteString(map[bool]string{true: "1", false: "0"}[s])
			}
			if got.String() != c.want || (why == "") != c.sure {
				t.Errorf("got %s (%q), want %s", got.String(), why, c.want)
			}
		})
	}
	if _, why := visible(mixed, map[string]string{"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}); why != "" {
		t.Errorf("the order is given and still: %s", why)
	}
}

func TestPCIAddressesComeToOneForm(t *testing.T) {
	for in, want := range map[string]string{
		"00000000:00:04.0": "0000:00:04.0", "0000:0A:00.0": "0000:0a:00.0", "00010000:81:00.0": "10000:81:00.0",
		"3b:00.0": "0000:3b:00.0", "0000:3b:00": "0000:3b:00.0", "": "", "nonsense": "nonsense",
	} {
		if diff := cmp.Diff(want, pciAddress(in)); diff != "" {
			t.Errorf("%q:\n%s", in, diff)
		}
	}
}

package matrix_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/matrix"
)

// A mark decides which bundle a runner takes, and not a byte of any.
func TestAMarkOfSpeedReachesTheCellAndChangesNoKey(t *testing.T) {
	bare, err := matrix.Load("m.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	marked, err := matrix.Load("m.yaml", []byte(strings.Replace(small, `    sms: ["75"]`, `    sms: ["75"]`+"\n"+`    faster: ["75"]`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := marked.Cell("one")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"75"}, c.Faster); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if a, b := plan(t, bare, "one", options()).Key, plan(t, marked, "one", options()).Key; a != b {
		t.Errorf("the key changed from %s to %s", a, b)
	}
}

func TestNothingIsMarkedBeforeItIsMeasured(t *testing.T) {
	for _, c := range ours(t).AllCells() {
		if c.Faster != nil {
			t.Errorf("cell %s marks %v as faster: name the measurement in docs/ and here", c.ID, c.Faster)
		}
	}
}

package serve

import (
	"errors"
	"syscall"
	"testing"
	"time"
)

func TestRestartPolicies(t *testing.T) {
	for in, want := range map[string]int{"no": 0, "on-failure": defaultRestarts, "on-failure:2": 2} {
		if r, err := ParseRestart(in); err != nil || r.Most != want {
			t.Errorf("%s: %+v, %v", in, r, err)
		}
	}
	for _, bad := range []string{"", "always", "on-failure:", "on-failure:0", "on-failure:x", "no:1"} {
		if r, err := ParseRestart(bad); err == nil {
			t.Errorf("%q passes as %+v", bad, r)
		}
	}
}

func TestOnlyAServerThatServedIsStartedAgain(t *testing.T) {
	crashed := &DiedError{Status: -1, Signal: syscall.SIGSEGV, Ready: true}
	for name, c := range map[string]struct {
		err   error
		again bool
	}{
		"a crash while it served":     {crashed, true},
		"an error while it served":    {&DiedError{Status: 1, Ready: true}, true},
		"an end as it was asked to":   {nil, false},
		"a terminal that was closed":  {&DiedError{Status: -1, Signal: syscall.SIGHUP, Ready: true}, false},
		"a death before it was ready": {&DiedError{Status: 1, Cause: Diagnosis{Code: CodeArgument}}, false},
		"a model that does not load":  {&DiedError{Status: 1, Cause: Diagnosis{Code: CodeModelDamaged}}, false},
		"another error":               {errors.New("x"), false},
	} {
		r := Restart{Most: 1}
		if _, again := r.Next(c.err, time.Minute); again != c.again {
			t.Errorf("%s: %v", name, again)
		}
	}
	off := Restart{}
	if _, again := off.Next(crashed, time.Hour); again {
		t.Error("started again without being asked to")
	}
}

func TestRestartsPauseLongerEachTimeAndEnd(t *testing.T) {
	crashed := &DiedError{Status: -1, Signal: syscall.SIGSEGV, Ready: true}
	r := Restart{Most: 7}
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		if pause, again := r.Next(crashed, time.Second); !again || pause != want*time.Second {
			t.Errorf("%v, %v, want %v s", pause, again, int(want))
		}
	}
	if _, again := r.Next(crashed, time.Second); again {
		t.Error("it goes on for ever")
	}
	// A server that ran well starts with a clean slate.
	if pause, again := r.Next(crashed, soundAfter); !again || pause != time.Second {
		t.Errorf("%v, %v", pause, again)
	}
}

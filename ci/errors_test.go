package ci

import "testing"

func TestAStepThatTheEngineCouldNotStartDidNotFail(t *testing.T) {
	err := &StepError{Cell: "cpu", Step: "prepare", ExitCode: -1}
	if want := "cell cpu: step prepare was not run: the engine could not start its container, and its log says why"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

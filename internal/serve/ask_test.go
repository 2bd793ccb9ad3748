package serve

import (
	"errors"
	"strings"
	"testing"
)

func TestAnAnswerIsReadTokenByToken(t *testing.T) {
	// As llama-server of de3ff81 writes it, shortened.
	a, err := parseAnswer([]byte(`{"content":"cJ","completion_probabilities":[
		{"id":352,"token":"c","bytes":[99],"logprob":-1.25,"top_logprobs":[{"id":352,"token":"c","bytes":[99],"logprob":-1.25},{"id":271,"token":" m","bytes":[32,109],"logprob":-2.5}]},
		{"id":327,"token":"J","bytes":[74],"logprob":-0.5,"top_logprobs":[{"id":327,"token":"J","bytes":[74],"logprob":-0.5}]}],
		"timings":{"prompt_n":116,"prompt_per_second":3646.5,"predicted_n":2,"predicted_per_second":477.5}}`), 2)
	if err != nil || len(a.Tokens) != 2 || a.Tokens[0].Text != "c" || a.Tokens[0].Top[1] != (Probability{271, -2.5}) || a.PromptTokens != 116 || a.PerSecond != 477.5 || a.PromptPerSecond != 3646.5 {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestAnAnswerThatProvesNothingIsAnError(t *testing.T) {
	one := `{"id":1,"token":"a","logprob":-1,"top_logprobs":[{"id":1,"logprob":-1}]}`
	for name, c := range map[string]struct{ answer, says string }{
		"no JSON":                  {`<html>`, "reading"},
		"too few tokens":           {`{"completion_probabilities":[` + one + `]}`, "1 tokens of 2"},
		"no tokens":                {`{}`, "0 tokens of 2"},
		"a token without the rest": {`{"completion_probabilities":[{"id":1,"logprob":-1,"top_logprobs":[]}]}`, "told no probabilities"},
	} {
		if a, err := parseAnswer([]byte(c.answer), 2); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	// llama-server writes a NaN as null.
	for _, answer := range []string{
		`{"completion_probabilities":[` + one + `,{"id":1,"logprob":null,"top_logprobs":[{"id":1,"logprob":-1}]}]}`,
		`{"completion_probabilities":[` + one + `,{"id":1,"logprob":-1,"top_logprobs":[{"id":1,"logprob":null}]}]}`,
	} {
		var nan *NotANumberError
		if _, err := parseAnswer([]byte(answer), 2); !errors.As(err, &nan) || nan.At != 1 {
			t.Errorf("got %v", err)
		}
	}
}

package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Question asks for tokens and for what the server thought of others. The answer
// is greedy: the most probable token each time.
type Question struct {
	Prompt string
	// Tokens are to be written, Top alternatives told for each.
	Tokens, Top int
}

// Answer is what came, token by token.
type Answer struct {
	Tokens []Token `json:"tokens"`
	// PromptTokens were read.
	PromptTokens int `json:"prompt_tokens"`
	// PromptPerSecond were read and PerSecond written in a second by the
	// server's clock, 0 where it does not say.
	PromptPerSecond float64 `json:"prompt_per_second"`
	PerSecond       float64 `json:"per_second"`
}

// Token is one that was written, with the most probable ones in its place.
type Token struct {
	ID   int           `json:"id"`
	Text string        `json:"text"`
	Top  []Probability `json:"top"`
}

// Probability is the natural logarithm of a token's, over the whole vocabulary
// and before any sampler.
type Probability struct {
	ID      int     `json:"id"`
	LogProb float64 `json:"logprob"`
}

// NotANumberError says that a server answered with log-probabilities that are no
// numbers: what it computed is garbage.
type NotANumberError struct {
	// At is the token's place in the answer, from 0.
	At int
}

func (e *NotANumberError) Error() string {
	return fmt.Sprintf("the probabilities of token %d are not numbers", e.At+1)
}

// Ask asks this server. An answer with fewer tokens than were asked for is an
// error, and so is one with probabilities that are no numbers
// ([*NotANumberError]). ctx bounds it, as for Complete.
func (s *Server) Ask(ctx context.Context, q Question) (Answer, error) {
	client, origin := s.client(s.url)
	answer, err := post(ctx, client, origin+"/completion", s.args.Key, map[string]any{
		"prompt": q.Prompt, "n_predict": q.Tokens, "n_probs": q.Top, "temperature": 0,
		// The whole prompt is read each time, and nothing ends the answer early.
		"cache_prompt": false, "ignore_eos": true,
	})
	if err != nil {
		return Answer{}, err
	}
	return parseAnswer(answer, q.Tokens)
}

func parseAnswer(answer []byte, want int) (Answer, error) {
	// A NaN is null in JSON.
	var r struct {
		Written []struct {
			ID    int      `json:"id"`
			Token string   `json:"token"`
			Own   *float64 `json:"logprob"`
			Top   []struct {
				ID      int      `json:"id"`
				LogProb *float64 `json:"logprob"`
			} `json:"top_logprobs"`
		} `json:"completion_probabilities"`
		Timings struct {
			Prompt          int     `json:"prompt_n"`
			PromptPerSecond float64 `json:"prompt_per_second"`
			PerSecond       float64 `json:"predicted_per_second"`
		} `json:"timings"`
	}
	if err := json.Unmarshal(answer, &r); err != nil {
		return Answer{}, fmt.Errorf("reading llama-server's answer: %w", err)
	}
	a := Answer{PromptTokens: r.Timings.Prompt, PromptPerSecond: r.Timings.PromptPerSecond, PerSecond: r.Timings.PerSecond}
	for at, w := range r.Written {
		t := Token{ID: w.ID, Text: w.Token}
		for _, alt := range w.Top {
			if alt.LogProb == nil {
				return a, &NotANumberError{at}
			}
			t.Top = append(t.Top, Probability{alt.ID, *alt.LogProb})
		}
		if w.Own == nil {
			return a, &NotANumberError{at}
		}
		if len(t.Top) == 0 {
			return a, errors.New("llama-server told no probabilities")
		}
		a.Tokens = append(a.Tokens, t)
	}
	if len(a.Tokens) < want {
		return a, fmt.Errorf("llama-server answered with %d tokens of %d", len(a.Tokens), want)
	}
	return a, nil
}

// Died waits a moment for the end of a server that stopped answering, and tells
// why it ended, nil where it runs on or ended as it was asked to.
func (s *Server) Died(patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.done:
		return s.Wait()
	case <-timer.C:
		return nil
	}
}

package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Reply is a server's answer to one prompt.
type Reply struct {
	Text string
	// Finish is why it ended: "stop", "length".
	Finish string
	// PromptTokens were read, Tokens were written.
	PromptTokens, Tokens int
	// PerSecond is tokens written a second by the server's clock, 0 where it
	// does not say.
	PerSecond float64
	// Elapsed is the time until the whole answer, by ours.
	Elapsed time.Duration
}

// completeTokens is how many tokens Complete asks for.
const completeTokens = 16

// maxReply bounds what is read of an answer.
const maxReply = 4 << 20

// Complete asks the server at base, an http URL, for one small, greedy chat
// completion. It is there to see that a server works, so an answer without a
// single token is an error. ctx bounds it: on a GPU that compiles its code the
// first one may take minutes.
func Complete(ctx context.Context, base, prompt string) (Reply, error) {
	return complete(ctx, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, base, "", prompt)
}

// Complete is the function Complete for this server, which may want a key, listen
// on a socket or show a certificate of its own.
func (s *Server) Complete(ctx context.Context, prompt string) (Reply, error) {
	client, origin := s.client(s.url)
	return complete(ctx, client, origin, s.args.Key, prompt)
}

func complete(ctx context.Context, client *http.Client, base, key, prompt string) (Reply, error) {
	start := time.Now()
	answer, err := post(ctx, client, base+"/v1/chat/completions", key, map[string]any{
		"messages":    []map[string]string{{"role": "user", "content": prompt}},
		"max_tokens":  completeTokens,
		"temperature": 0,
	})
	if err != nil {
		return Reply{}, err
	}
	reply, err := parseReply(answer)
	reply.Elapsed = time.Since(start)
	return reply, err
}

// post asks a server a question in JSON; what comes back is a success's body.
func post(ctx context.Context, client *http.Client, url, key string, question any) ([]byte, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return nil, fmt.Errorf("asking llama-server: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("asking llama-server: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking llama-server: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return nil, fmt.Errorf("reading llama-server's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("llama-server answered %s: %s", response.Status, complaint(answer))
	}
	return answer, nil
}

func parseReply(answer []byte) (Reply, error) {
	var r struct {
		Choices []struct {
			Message struct {
				Content   string `json:"content"`
				Reasoning string `json:"reasoning_content"`
			} `json:"message"`
			Finish string `json:"finish_reason"`
		} `json:"choices"`
		Usage struct {
			Prompt     int `json:"prompt_tokens"`
			Completion int `json:"completion_tokens"`
		} `json:"usage"`
		Timings struct {
			PerSecond float64 `json:"predicted_per_second"`
		} `json:"timings"`
	}
	if err := json.Unmarshal(answer, &r); err != nil {
		return Reply{}, fmt.Errorf("reading llama-server's answer: %w", err)
	}
	if len(r.Choices) == 0 || r.Usage.Completion == 0 {
		return Reply{}, errors.New("llama-server answered without a token")
	}
	c := r.Choices[0]
	return Reply{
		Text: c.Message.Reasoning + c.Message.Content, Finish: c.Finish,
		PromptTokens: r.Usage.Prompt, Tokens: r.Usage.Completion, PerSecond: r.Timings.PerSecond,
	}, nil
}

// complaint is the message of an error answer, or its beginning.
func complaint(answer []byte) string {
	var e struct {
		Error struct{ Message string }
	}
	if json.Unmarshal(answer, &e) == nil && e.Error.Message != "" {
		return e.Error.Message
	}
	return fmt.Sprintf("%.200q", answer)
}

package sibling

import (
	"context"
	"encoding/json"
	"io"
	"sync"
)

// Peer is the child's side.
type Peer struct {
	out io.Writer
	mu  sync.Mutex
	in  chan json.RawMessage
}

// Accept says the first word on out and listens on in. The context that it returns
// ends when the parent hangs up or dies.
func Accept(ctx context.Context, program string, in io.Reader, out io.Writer) (context.Context, *Peer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &Peer{out: out, in: make(chan json.RawMessage)}
	if err := p.Send(hello{Program: program, Protocol: Protocol}); err != nil {
		cancel(err)
		return ctx, nil, err
	}
	go func() {
		defer close(p.in)
		defer cancel(errHungUp)
		d := json.NewDecoder(in)
		for {
			var v json.RawMessage
			if d.Decode(&v) != nil {
				return // the end, or a parent that is no sibling
			}
			select {
			case p.in <- v:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, p, nil
}

// Send says one value; it may be called by several goroutines.
func (p *Peer) Send(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err = p.out.Write(append(data, '\n'))
	return err
}

// Receive hears the next value; io.EOF says that the parent hung up.
func (p *Peer) Receive(v any) error {
	data, ok := <-p.in
	if !ok {
		return io.EOF
	}
	return json.Unmarshal(data, v)
}

package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
)

// TinyOptions shape a tiny model. The zero value is good: two layers, some
// 270 KB, F16.
type TinyOptions struct {
	// Name goes into general.name; "tiny-random" where empty.
	Name string
	// Layers is the number of blocks; 0 is 2.
	Layers int
	// Embd is the embedding length; 0 is 64, or 256 for Q4_K and Q6_K, whose
	// rows must be multiples of 256 (of 32 for Q8_0).
	Embd int
	// FF is the feed-forward length, under the same rule; 0 is 2 × Embd.
	FF int
	// Heads must divide Embd into even parts; 0 is 4.
	Heads int
	// KVHeads must divide Heads; 0 is Heads. Fewer of them are shared by several
	// heads, as in the models that people use.
	KVHeads int
	// Context is the trained context in tokens; 0 is 512.
	Context int
	// Type of all matrices: F32, F16, Q8_0, Q4_K or Q6_K. The zero value is
	// F32; use DefaultTiny for the usual model. Norms are always F32.
	Type TensorType
	// Types are taken by turns where the matrices are to be of several types, in
	// place of Type.
	Types []TensorType
	// Seed of the weights. The same options give the same bytes on every machine.
	Seed uint64
	// soft keeps attention and answers undecided: many tokens have a probability
	// that can be measured, and rounding moves it a little, never a lot.
	soft bool
}

// DefaultTiny is the model behind the name "tiny": small, F16, as quick to
// answer as a server is to start.
func DefaultTiny() TinyOptions { return TinyOptions{Type: F16, Seed: 42} }

// ProofModel is the model that a bundle is proved with: 1 MB whose matrices are of
// F16, Q8_0, Q4_K and Q6_K, so that the kernels of quantised and of plain weights
// run, and whose heads are of 128, two to a pair of keys and values, so that flash
// attention runs. Its log-probabilities differ between right machines by rounding
// alone. The seed was searched for: between the first and the second token of its
// greedy answer to prove's question there is a gap that rounding does not close.
func ProofModel() TinyOptions {
	return TinyOptions{
		Name: "llcuda-proof", Embd: 256, Heads: 2, KVHeads: 1, Context: 512,
		Types: []TensorType{F16, Q8_0, Q4_K, Q6_K}, Seed: 27, soft: true,
	}
}

// tinyTemplate is the chat template of a tiny model.
const tinyTemplate = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"

// Tiny writes a random model of the llama architecture that llama-server loads
// and answers from. Its greedy answers are printable ASCII and never end
// before max_tokens: whoever proves a server with it knows how many tokens
// must come.
func Tiny(w io.Writer, o TinyOptions) error {
	o, err := o.filled()
	if err != nil {
		return err
	}
	vocab := tinyVocab()
	tensors := o.tensors(vocab)

	head := header{}
	head.raw([]byte(magic))
	head.put(uint32(3), uint64(len(tensors)))
	keys := o.metadata(vocab)
	head.put(uint64(len(keys)))
	for _, k := range keys {
		head.text(k.name)
		head.value(k.value)
	}
	offset := uint64(0)
	for _, t := range tensors {
		head.text(t.name)
		head.put(uint32(len(t.dims)), t.dims, uint32(t.typ), offset)
		offset += padded(t.bytes())
	}
	out := bufio.NewWriterSize(w, 1<<16)
	out.Write(head.b)
	pad(out, uint64(len(head.b)))
	random := rand.New(rand.NewPCG(o.Seed, uint64(o.Type)))
	for _, t := range tensors {
		t.write(out, random)
		pad(out, t.bytes())
	}
	// bufio keeps the first error and does nothing after it.
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the tiny model: %w", err)
	}
	return nil
}

func (o TinyOptions) filled() (TinyOptions, error) {
	if len(o.Types) == 0 {
		o.Types = []TensorType{o.Type}
	}
	row := 1 // each type's rows are multiples of it: 1, 32 or 256
	for _, t := range o.Types {
		if _, ok := writers[t]; !ok {
			return o, fmt.Errorf("a tiny model of %s cannot be written: choose F32, F16, Q8_0, Q4_K or Q6_K", t)
		}
		row = max(row, int(layouts[t].values))
	}
	fill := func(v *int, or int) {
		if *v == 0 {
			*v = or
		}
	}
	if o.Name == "" {
		o.Name = "tiny-random"
	}
	fill(&o.Layers, 2)
	fill(&o.Embd, max(64, row))
	fill(&o.FF, 2*o.Embd)
	fill(&o.Heads, 4)
	fill(&o.KVHeads, o.Heads)
	fill(&o.Context, 512)
	switch {
	case o.Layers < 1 || o.Embd < 1 || o.FF < 1 || o.Heads < 1 || o.KVHeads < 1 || o.Context < 1:
		return o, fmt.Errorf("a tiny model needs sizes above 0, not %+v", o)
	case o.Embd%(2*o.Heads) != 0:
		return o, fmt.Errorf("an embedding of %d cannot be shared by %d heads in even parts", o.Embd, o.Heads)
	case o.Heads%o.KVHeads != 0:
		return o, fmt.Errorf("%d heads cannot share %d pairs of keys and values evenly", o.Heads, o.KVHeads)
	case o.Embd%row != 0 || o.FF%row != 0:
		return o, fmt.Errorf("rows of %v are multiples of %d: an embedding of %d and a feed-forward of %d are not", o.Types, row, o.Embd, o.FF)
	}
	return o, nil
}

type key struct {
	name  string
	value any
}

func (o TinyOptions) metadata(v vocabulary) []key {
	keys := []key{
		{"general.architecture", "llama"},
		{"general.name", o.Name},
		{"general.file_type", uint32(fileTypeOf(o.Types))},
		{"llama.context_length", uint32(o.Context)},
		{"llama.embedding_length", uint32(o.Embd)},
		{"llama.block_count", uint32(o.Layers)},
		{"llama.feed_forward_length", uint32(o.FF)},
		{"llama.attention.head_count", uint32(o.Heads)},
		{"llama.attention.head_count_kv", uint32(o.KVHeads)},
		{"llama.attention.layer_norm_rms_epsilon", float32(1e-5)},
		{"llama.rope.dimension_count", uint32(o.Embd / o.Heads)},
		{"llama.vocab_size", uint32(len(v.tokens))},
		{"tokenizer.ggml.model", "llama"},
		{"tokenizer.ggml.tokens", v.tokens},
		{"tokenizer.ggml.scores", v.scores},
		{"tokenizer.ggml.token_type", v.types},
		{"tokenizer.ggml.bos_token_id", uint32(tokenBOS)},
		{"tokenizer.ggml.eos_token_id", uint32(tokenEOS)},
		{"tokenizer.ggml.unknown_token_id", uint32(tokenUnknown)},
		{"tokenizer.ggml.add_bos_token", true},
		{"tokenizer.ggml.add_eos_token", false},
		{"tokenizer.chat_template", tinyTemplate},
	}
	if slices.ContainsFunc(o.Types, func(t TensorType) bool { return layouts[t].values > 1 }) {
		keys = append(keys, key{"general.quantization_version", uint32(2)})
	}
	return keys
}

// tensor is one to be written: a norm of ones, or a matrix of random rows.
type tensor struct {
	name string
	dims []uint64
	typ  TensorType
	norm bool
	// scale is the weights' size: their standard deviation is about 2^scale.
	scale int
	// zeroRows are the first rows, all zero.
	zeroRows uint64
}

// The weights' sizes: hidden keeps activations near 1; output makes the
// printable tokens' logits so much larger than the others' zero that even a
// sampled answer is readable.
const (
	hiddenScale = -3
	outputScale = -1
	// What keeps a model soft: scores of attention near 1, logits near 2.
	softHiddenScale = -4
	softOutputScale = -3
)

func (o TinyOptions) tensors(v vocabulary) []tensor {
	embd, ff, words := uint64(o.Embd), uint64(o.FF), uint64(len(v.tokens))
	kv := embd / uint64(o.Heads) * uint64(o.KVHeads)
	hidden, last := hiddenScale, outputScale
	if o.soft {
		hidden, last = softHiddenScale, softOutputScale
	}
	made := 0
	matrix := func(name string, in, out uint64) tensor {
		made++
		return tensor{name: name, dims: []uint64{in, out}, typ: o.Types[(made-1)%len(o.Types)], scale: hidden}
	}
	norm := func(name string) tensor { return tensor{name: name, dims: []uint64{embd}, typ: F32, norm: true} }
	list := []tensor{matrix("token_embd.weight", embd, words)}
	for i := range o.Layers {
		p := fmt.Sprintf("blk.%d.", i)
		list = append(list,
			norm(p+"attn_norm.weight"),
			matrix(p+"attn_q.weight", embd, embd), matrix(p+"attn_k.weight", embd, kv),
			matrix(p+"attn_v.weight", embd, kv), matrix(p+"attn_output.weight", embd, embd),
			norm(p+"ffn_norm.weight"),
			matrix(p+"ffn_gate.weight", embd, ff), matrix(p+"ffn_up.weight", embd, ff),
			matrix(p+"ffn_down.weight", ff, embd))
	}
	output := matrix("output.weight", embd, words)
	output.scale, output.zeroRows = last, v.printable
	return append(list, norm("output_norm.weight"), output)
}

func (t tensor) bytes() uint64 {
	n, _ := t.typ.Size(t.dims) // filled saw to whole blocks
	return n
}

func (t tensor) write(w *bufio.Writer, r *rand.Rand) {
	if t.norm {
		for range t.dims[0] {
			w.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(1)))
		}
		return
	}
	l := layouts[t.typ]
	block := make([]byte, l.bytes)
	for row := range t.dims[1] {
		for range t.dims[0] / l.values {
			clear(block)
			if row >= t.zeroRows {
				writers[t.typ](block, r, t.scale)
			}
			w.Write(block)
		}
	}
}

func padded(n uint64) uint64 { return (n + defaultAlignment - 1) / defaultAlignment * defaultAlignment }

func pad(w *bufio.Writer, n uint64) {
	var zeros [defaultAlignment]byte
	w.Write(zeros[:padded(n)-n])
}

package gguf

import "fmt"

// Ids of the special tokens.
const (
	tokenUnknown = iota
	tokenBOS
	tokenEOS
)

// Types of tokens, as in llama.cpp's LLAMA_TOKEN_TYPE_*.
const (
	typeNormal  = 1
	typeUnknown = 2
	typeControl = 3
	typeByte    = 6
)

// vocabulary is a SentencePiece vocabulary with byte fallback.
type vocabulary struct {
	tokens []string
	scores []float32
	types  []int32
	// printable is the id of the first token that is printable text; all
	// after it are too.
	printable uint64
}

// wordMark is SentencePiece's sign for the space before a word.
const wordMark = "\u2581"

// tinyVocab holds three specials, the 256 bytes, which make every text
// expressible, and the letters with and without a leading space.
func tinyVocab() vocabulary {
	var v vocabulary
	add := func(text string, score float32, typ int32) {
		v.tokens = append(v.tokens, text)
		v.scores = append(v.scores, score)
		v.types = append(v.types, typ)
	}
	add("<unk>", 0, typeUnknown)
	add("<s>", 0, typeControl)
	add("</s>", 0, typeControl)
	for i := range 256 {
		add(fmt.Sprintf("<0x%02X>", i), 0, typeByte)
	}
	v.printable = uint64(len(v.tokens))
	// An earlier token wins where the tokenizer may merge two ways.
	rank := func(text string) { add(text, -float32(len(v.tokens)), typeNormal) }
	for c := 'a'; c <= 'z'; c++ {
		rank(wordMark + string(c))
	}
	rank(wordMark)
	for c := '!'; c <= '~'; c++ {
		rank(string(c))
	}
	return v
}

package bundles

import (
	"regexp"
	"sync"
)

// pattern is a regular expression that is compiled when it is first asked: all of
// them together would be a good part of the start of a program that only looks
// into a file.
type pattern struct {
	text string
	once sync.Once
	re   *regexp.Regexp
}

func newPattern(text string) *pattern { return &pattern{text: text} }

func (p *pattern) compiled() *regexp.Regexp {
	p.once.Do(func() { p.re = regexp.MustCompile(p.text) })
	return p.re
}

// MatchString is regexp's.
func (p *pattern) MatchString(s string) bool { return p.compiled().MatchString(s) }

// FindStringSubmatch is regexp's.
func (p *pattern) FindStringSubmatch(s string) []string { return p.compiled().FindStringSubmatch(s) }

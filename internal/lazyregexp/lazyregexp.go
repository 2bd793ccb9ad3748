// Package lazyregexp turns the text of a regular expression into one that is
// compiled when it is first asked. The dozens that our packages declare would
// otherwise be a good part of the start of a program that only looks into a file.
// A text that does not compile panics then, as regexp.MustCompile's does.
package lazyregexp

import (
	"regexp"
	"sync"
)

// Regexp is a regular expression; its methods are regexp.Regexp's.
type Regexp struct {
	text string
	once sync.Once
	re   *regexp.Regexp
}

// New keeps the text.
func New(text string) *Regexp { return &Regexp{text: text} }

func (p *Regexp) compiled() *regexp.Regexp {
	p.once.Do(func() { p.re = regexp.MustCompile(p.text) })
	return p.re
}

// MatchString says whether s holds a match.
func (p *Regexp) MatchString(s string) bool { return p.compiled().MatchString(s) }

// FindString is the first match in s, "" for none.
func (p *Regexp) FindString(s string) string { return p.compiled().FindString(s) }

// FindStringSubmatch is the first match in s and its groups, nil for none.
func (p *Regexp) FindStringSubmatch(s string) []string { return p.compiled().FindStringSubmatch(s) }

// ReplaceAllString is s with every match replaced.
func (p *Regexp) ReplaceAllString(s, with string) string {
	return p.compiled().ReplaceAllString(s, with)
}

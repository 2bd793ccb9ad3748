// Command gen turns data/cuda.yaml into the Go values that package compat is
// compiled with: go generate ./internal/compat
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/waqasm86/llcuda/internal/compat"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stderr)) //nolint:forbidigo // a main
}

func run(args []string, stderr io.Writer) int {
	if len(args) != 2 {
		fmt.Fprintln(stderr, "usage: gen IN.yaml OUT.go")
		return 2
	}
	if err := convert(args[0], args[1]); err != nil {
		fmt.Fprintln(stderr, "gen: error:", err)
		return 1
	}
	return 0
}

func convert(in, out string) error {
	data, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var f compat.Facts
	if err := dec.Decode(&f); err != nil {
		return fmt.Errorf("reading %q: %w", in, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated from %s by go generate; DO NOT EDIT.\n\npackage compat\n\n// compiled is %s.\nfunc compiled() Facts {\nreturn ", in, in)
	if err := literal(&b, reflect.ValueOf(f), true); err != nil {
		return err
	}
	b.WriteString("\n}\n")
	text, err := format.Source(b.Bytes())
	if err != nil {
		return err
	}
	return os.WriteFile(out, text, 0o644)
}

// literal writes v as Go, one element of a list of structs a line. named puts
// the type in front, which elements of a list do without. Zero fields are left out.
func literal(b *bytes.Buffer, v reflect.Value, named bool) error {
	if named && (v.Kind() == reflect.Struct || v.Kind() == reflect.Slice || v.Kind() == reflect.Map) {
		b.WriteString(strings.ReplaceAll(v.Type().String(), "compat.", ""))
	}
	switch v.Kind() {
	case reflect.Struct:
		b.WriteString("{")
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				continue
			}
			b.WriteString(v.Type().Field(i).Name + ": ")
			if err := literal(b, v.Field(i), true); err != nil {
				return err
			}
			b.WriteString(",")
			if v.Type() == reflect.TypeFor[compat.Facts]() {
				b.WriteString("\n")
			}
		}
		b.WriteString("}")
	case reflect.Slice:
		b.WriteString("{")
		for i := range v.Len() {
			if v.Type().Elem().Kind() == reflect.Struct {
				b.WriteString("\n")
			}
			if err := literal(b, v.Index(i), false); err != nil {
				return err
			}
			b.WriteString(",")
		}
		b.WriteString("}")
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		b.WriteString("{")
		for _, k := range keys {
			fmt.Fprintf(b, "%q: ", k.String())
			if err := literal(b, v.MapIndex(k), false); err != nil {
				return err
			}
			b.WriteString(",")
		}
		b.WriteString("}")
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	case reflect.Int:
		fmt.Fprintf(b, "%d", v.Int())
	default:
		return fmt.Errorf("a field of type %s, which gen does not write", v.Type())
	}
	return nil
}

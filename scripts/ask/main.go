// Command ask sends one chat completion to a llama-server and prints the reply:
// what the demo uses in place of curl.
//
//	go run ./scripts/ask URL PROMPT
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/waqasm86/llcuda/internal/serve"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: ask URL PROMPT")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	reply, err := serve.Complete(ctx, os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "ask:", err)
		os.Exit(1)
	}
	fmt.Printf("%q\n", reply.Text)
}

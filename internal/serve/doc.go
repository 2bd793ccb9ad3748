// Package serve turns an installed bundle, a model and the user's arguments into
// a llama-server that runs, answers, is understood when it fails, and is gone
// when it should be.
//
// It promises:
//   - the server loads its libraries from the bundle: nothing of the parent's
//     environment or working directory can put another in their place;
//   - Start returns a server that answers, or the reason why there is none, told
//     from llama-server's own output; there is no limit on how long a model may
//     load, only on how long nothing at all may happen;
//   - where a GPU is wanted, a server that came up on the CPU is a failure;
//   - no process outlives this one, be it killed, and none outlives Stop.
//
// The user's arguments are the user's: they go to llama-server untouched and win
// over our own. The bundle is trusted as installed and verified; what the server
// prints is parsed and never trusted further than to explain.
//
// It does not choose a bundle, fetch a model or repeat a failed start.
package serve

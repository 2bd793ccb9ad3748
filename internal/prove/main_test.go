package prove

import "flag"

var update = flag.Bool("update", false, "rewrite answer.json from a real llama-server (engine tests)")

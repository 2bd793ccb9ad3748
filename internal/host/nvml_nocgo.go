//go:build !linux || !cgo

package host

const noCgo = "this program was built without cgo and cannot load driver libraries"

func loadNVML(string) answer { return answer{Error: noCgo} }

func loadLibcuda(string, bool) answer { return answer{Error: noCgo} }

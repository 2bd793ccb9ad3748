// Package clitest holds what the script tests of both programs share: commands
// that hold a program's exit code, keep one running and wait for what it says,
// and that make release folders out of small files. Tests only.
package clitest

package matrix

// Tegra are the SMs of Tegra chips.
func Tegra() []string { return tegra[:] }

"""The commands of `apprentice`, one file per group. All but `serve`, `keys` and `doctor` speak HTTP."""

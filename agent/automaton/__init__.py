"""Order as an automaton: what may follow what, in outputs, calls and episodes."""

"""A memory on its way: bundles out and in, signatures, what other systems wrote."""

"""Side-by-side benchmarks: the deployed stack against the Go design it comes from. `make bench` runs them."""

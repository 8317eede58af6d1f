"""A siege of a real store, as the deploy configures it: attacks of strangers, and honest people beside them."""

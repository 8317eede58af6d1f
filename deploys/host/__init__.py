"""Facts and operations that any service uses."""

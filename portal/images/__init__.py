"""Icons and screenshots: converts an untrusted image to clean sRGB PNGs, in a process of its own with limits."""

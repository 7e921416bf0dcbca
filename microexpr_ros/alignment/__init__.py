"""One clock, slices of fixed length, and where the face is."""

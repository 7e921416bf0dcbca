"""What the face does: Action Units, micro-expressions and reconstructed images."""

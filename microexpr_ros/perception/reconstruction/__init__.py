"""The conditional variational autoencoder that reconstructs images of the face."""

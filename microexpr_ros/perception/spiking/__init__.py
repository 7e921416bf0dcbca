"""The spiking network that reads Action Units from slices of events."""

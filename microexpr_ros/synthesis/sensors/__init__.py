"""Models of the sensors that look at a scene."""

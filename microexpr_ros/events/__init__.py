"""What the sensor said: columns of events, their encodings, files and counts."""

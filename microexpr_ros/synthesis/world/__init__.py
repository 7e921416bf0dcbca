"""What the cameras look at: light, motion, the rendered scene and its ground truth."""

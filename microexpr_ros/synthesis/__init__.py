"""Made worlds: a face that moves by FACS, seen by an event camera and a frame camera."""

"""How good a model is on labelled images, measured as Ultralytics measures it."""

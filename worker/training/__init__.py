"""Training as Ultralytics does it, each epoch told as it ends, and gone on from when cut off."""

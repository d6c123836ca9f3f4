"""The run folder: schemas, writing with commits, reading back, verifying."""

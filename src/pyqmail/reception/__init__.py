"""A message comes in: a local message is made proper before it is queued."""

"""`demo`: incidents on the embedded stack, a scene a path, each from the finding to the release."""

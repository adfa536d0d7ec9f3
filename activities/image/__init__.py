"""Images: refused at admission, exported, scanned, archived and deleted in the registry (guide I1, I2, I5)."""

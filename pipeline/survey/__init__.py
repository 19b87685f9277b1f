"""Where cutouts come from: the canonical cutout table, shards of it, and detection in a field image."""

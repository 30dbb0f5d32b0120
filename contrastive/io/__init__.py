"""Files and imports: written whole or not at all, read without running anything."""

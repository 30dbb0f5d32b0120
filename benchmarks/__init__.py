"""What the paper's figures and the library's claims are made with: `python -m benchmarks.ROOM.NAME`, from the root."""

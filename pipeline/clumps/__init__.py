"""Giant star-forming clumps: found in pictures of galaxies by a network that is trained on injected ones."""

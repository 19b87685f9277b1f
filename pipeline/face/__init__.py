"""What a notebook needs: a classifier of pictures, and the rows of a catalogue. No Ray."""

"""To the Zooniverse and back: subject sets uploaded once each, exports fetched whole."""

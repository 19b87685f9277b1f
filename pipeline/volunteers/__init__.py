"""Volunteers: their votes, how far each is to be believed, and what they say together. No torch, no Ray."""

"""Galaxies that never were: pictures with asked-for votes, made by a network that learnt from real ones."""

"""A run over a survey: what it is made from, its plan, how it is carried out, and its pages."""

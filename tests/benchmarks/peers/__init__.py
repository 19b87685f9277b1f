"""Scripts that a user might write instead, on the same shards and weights."""

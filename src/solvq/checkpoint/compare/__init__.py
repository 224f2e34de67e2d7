"""Two checkpoints, tensor by tensor: what differs, and how good it is."""

"""Forward passes of trained networks, as functions of their tensors; several studies use them."""

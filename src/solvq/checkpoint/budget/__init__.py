"""From a limit on bytes or on error to what each tensor gets."""

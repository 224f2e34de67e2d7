"""The exact optimum behind the interfaces of other packages, a module for each of these."""

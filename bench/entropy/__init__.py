"""What the entropy benchmark is made of: sources, coded sizes, rate-distortion bounds."""

"""The study of *Scalar Quantization as Sparse Least Square Optimization*, made again and judged.

``python -m bench paper-scalar`` runs the parts, one file each: `weights`, `images`, `synthetic`,
`claims`. A part returns plain records, which are written to ``OUT/PART.json``; `report` and
`figures` make tables and pictures of these files alone. `objective` computes every number.
"""

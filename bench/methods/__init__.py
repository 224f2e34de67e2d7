"""The methods compared. Adding one: one file here, one line in `METHODS`."""

from bench.methods._base import Method
from bench.methods.ckmeans import Ckmeans
from bench.methods.ckwrap import Ckwrap
from bench.methods.fast1dkmeans import Fast1DKMeans
from bench.methods.flash1dkmeans import Flash1DKMeans
from bench.methods.flash1dkmeans_fast import Flash1DKMeansFast
from bench.methods.kmeans1d import KMeans1D
from bench.methods.ours import Ours
from bench.methods.sklearn_isotonic import ALPHA, SklearnIsotonic
from bench.methods.sklearn_kmeans import SklearnKMeans
from bench.methods.solvq_method import SolvqMethod
from solvq.scalar import METHODS as OWN

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Ours(),
        Ckmeans(),
        Ckwrap(),
        KMeans1D(),
        Fast1DKMeans(),
        Flash1DKMeans(),
        Flash1DKMeansFast(),
        SklearnKMeans(),
        SklearnIsotonic(),
        *(SolvqMethod(name, exact=name == "l0") for name in OWN if name != "optimal"),
        SolvqMethod("l1", alpha=ALPHA),
    )
}

"""stub"""


class Importance:
    pass

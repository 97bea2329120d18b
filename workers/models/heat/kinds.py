"""What can be beyond a face of the grid beside what `models.base` knows, as the kernels know it."""

FIXED = 2  # a given temperature on the face
INSULATED = 3  # no flux through the face
KINDS = {"periodic": 1, "fixed": FIXED, "insulated": INSULATED}

"""What can be beyond a face of the grid, as the kernels know it, and what more of a halo they compute."""

CUT = 0  # more of the grid: the block has a halo there, and nothing is filled
PERIODIC = 1  # the grid's other side
FIXED = 2  # a given velocity: walls and inflow
SLIP = 3  # a wall that does not hold the fluid
OUTFLOW = 4  # nothing changes any more along the axis; pressure 0

SPARE = 1  # cells around a block that are right too after its last step: vorticity needs them

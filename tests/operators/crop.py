"""The mirror of workers/operators/crop.py."""

from tests.operators.median import array as array

EXAMPLES = [
    ({"region": "1:6,2:-1,:"}, (7, 9, 11), "uint8"),
    ({"region": "0=-5:-2"}, (8, 6), "float32"),
    ({"region": "2=1:,0=:3"}, (4, 5, 7, 3), "int64"),
    ({"region": "3:4"}, (9,), "bool"),
    ({"region": "1:3,0:5,2:9"}, (4, 5, 9), "float16"),
    ({"region": ":,1:2,:,0:3,1:4"}, (2, 3, 4, 3, 5), "uint16"),
]
PLANTED = [
    ("reindex.cu", "x >= g.size[5]", "x > g.size[5]"),
    ("reindex.cu", "at * g.stride[axis]", "at * g.stride[5]"),
]
TIMED = [{"region": "0=4:-4,1=4:-4"}]


def reference(array, *, region):
    where = [slice(None)] * array.ndim
    for number, part in enumerate(region.split(",")):
        name, _, span = part.rpartition("=")
        start, stop = (int(end) if end else None for end in span.split(":"))
        where[int(name or number)] = slice(start, stop)
    return array[tuple(where)]

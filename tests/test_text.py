"""Words for numbers, times and sizes."""

from __future__ import annotations

from gridstride.pipeline.text import base_name, counted, duration, megabytes, one_line, shape_text


def test_times_and_sizes_are_short() -> None:
    spans = (-1, 0.42, 12, 59.7, 200, 7800, 90_000, 172_800)
    words = ["0 s", "0.42 s", "12 s", "1 min", "3 min 20 s", "2 h 10 min", "1 d 1 h", "2 d"]
    assert [duration(span) for span in spans] == words
    sizes = (0, 512, 4100, 2_048_000, 17.2e9, 1.5e12, 12_345e12)
    words = ["0 B", "512 B", "4.1 kB", "2.05 MB", "17.2 GB", "1.5 TB", "1.234e+04 TB"]
    assert [megabytes(size) for size in sizes] == words


def test_counts_shapes_and_names() -> None:
    assert [counted(number, "block") for number in (0, 1, 2)] == ["0 blocks", "1 block", "2 blocks"]
    assert shape_text((64, 256, 256)) == "64 x 256 x 256"
    assert [base_name(where) for where in ("/a/b.zarr/", "s3://bucket/c.zarr", "d")] == ["b.zarr", "c.zarr", "d"]
    assert one_line("a\n b\x1b[2J\tc") == "a b\N{REPLACEMENT CHARACTER}[2J c"

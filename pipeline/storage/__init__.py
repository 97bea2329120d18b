"""Storage of arrays and journals, in folders and object stores."""

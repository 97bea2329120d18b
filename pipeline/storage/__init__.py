"""Where arrays and journals are: folders and object stores."""

"""One pass of an operator over a whole grid."""

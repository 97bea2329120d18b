"""The operators: what a sweep applies to each block. One file an operator; `base` is the protocol, docs/operators.md
says how to add one."""

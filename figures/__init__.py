"""The gallery beside the library: explorables, and a script for each figure of a paper."""

"""The commands behind `make`: set up, execute notebooks, build, serve and test the book."""

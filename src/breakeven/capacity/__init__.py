"""How much a node serves, and how many nodes a traffic needs.  Pure; numbers in, numbers out."""

"""How good a bundle is: figures, tables, and where they are kept."""

"""Cells of text as tables: the first row is the head, the first column names the rows."""


def aligned(cells: list[list[str]]) -> str:
    """For a screen: columns padded to one width, a line below the head."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = []
    for row in cells:
        padded = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        padded[0] = row[0].ljust(widths[0])
        lines.append("  ".join(padded))
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)


def markdown(cells: list[list[str]]) -> str:
    """In Markdown, figures to the right."""
    rule = ["---"] + ["---:"] * (len(cells[0]) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in [cells[0], rule, *cells[1:]])

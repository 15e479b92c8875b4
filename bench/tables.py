"""Tables, aligned for a terminal or as Markdown."""

from dataclasses import dataclass, field


def number(value):
    """Three significant digits, for reading."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


@dataclass
class Table:
    title: str
    head: list
    rows: list = field(default_factory=list)

    def cells(self):
        return [self.head] + [[number(value) for value in row] for row in self.rows]

    def text(self):
        cells = self.cells()
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.head))]

        def line(row):
            # The first column is a name, the others are mostly numbers.
            return "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip()

        return "\n".join([self.title, *map(line, cells)]) + "\n"

    def markdown(self):
        head, *rows = ["| " + " | ".join(row) + " |" for row in self.cells()]
        rule = "|---|" + "---:|" * (len(self.head) - 1)
        return "\n".join([f"### {self.title}", "", head, rule, *rows]) + "\n"

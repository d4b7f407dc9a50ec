"""A line chart over time as SVG, by hand: one panel above the other, each with its own scale."""
from xml.sax.saxutils import escape

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 860, 220, 70, 190, 30, 50
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b")


def nice(value):
    """The next of 1, 2, 5 times a power of ten."""
    step = 1e-9
    while True:
        for f in (1, 2, 5):
            if step * f >= value:
                return step * f
        step *= 10


def panel(title, series, top, seconds):
    """series: name -> list of (seconds, value)."""
    height = nice(max((v for points in series.values() for _, v in points), default=1) or 1)
    width = WIDTH - LEFT - RIGHT
    out = [f'<text x="{LEFT}" y="{top - 10}" font-weight="bold">{escape(title)}</text>']
    for i in range(5):
        y = top + PANEL - PANEL * i / 4
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + width}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{height * i / 4:g}</text>')
    for i in range(6):
        x = LEFT + width * i / 5
        out.append(f'<text x="{x:.1f}" y="{top + PANEL + 18}" text-anchor="middle">{seconds * i / 5:.0f} s</text>')
    for n, (name, points) in enumerate(series.items()):
        colour = COLOURS[n % len(COLOURS)]
        line = " ".join(f"{LEFT + width * t / seconds:.1f},{top + PANEL - PANEL * min(v, height) / height:.1f}" for t, v in points)
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{line}"/>')
        out.append(f'<text x="{LEFT + width + 10}" y="{top + 14 + 18 * n}" fill="{colour}">{escape(name)}</text>')
    return out


def write(path, panels):
    """panels: list of (title, series). All share the time axis."""
    seconds = max((t for _, series in panels for points in series.values() for t, _ in points), default=1) or 1
    body = []
    for i, (title, series) in enumerate(panels):
        body += panel(title, series, TOP + i * (PANEL + GAP), seconds)
    height = TOP + len(panels) * (PANEL + GAP)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">\n'
                    f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n' + "\n".join(body) + "\n</svg>\n")

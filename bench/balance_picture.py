"""Draw docs/balancing.svg: a string of each kind that becomes even, on the twin: `python -m bench.balance_picture`."""

from pathlib import Path

import numpy as np

from bench.balance_rooms import Power, lead_with_range, lfp_string, vrla_string
from bench.balance_sim import Closed, Floats

FILE = Path(__file__).parents[1] / "docs" / "balancing.svg"
WIDTH, HEIGHT, LEFT, TOP, GAP = 430.0, 250.0, 62.0, 44.0, 92.0
HIGH, LOW, OTHER, INK, GRID = "#c2410c", "#1d4ed8", "#9ca3af", "#1f2937", "#e5e7eb"


def voltages(closed: Closed, hours: float, every_s: float) -> tuple[Floats, Floats]:
    """Return hours (t,) and true volts of every unit (t, n)."""
    at_h, v = [0.0], [closed.room.truth("s1").v]
    while at_h[-1] < hours:
        for _ in range(round(every_s / closed.step_s)):
            closed.step()
        at_h.append(at_h[-1] + every_s / 3600.0)
        v.append(closed.room.truth("s1").v)
    return np.array(at_h), np.array(v)


def panel(left: float, title: str, at_h: Floats, mv: Floats, ticks: tuple[list[float], list[float]]) -> list[str]:
    """Return the elements of one chart; `mv` (t, n) against the mean of the units."""
    hours, levels = ticks
    low, high = levels[0], levels[-1]
    x = left + at_h / hours[-1] * WIDTH
    y = TOP + HEIGHT - (np.clip(mv, low, high) - low) / (high - low) * HEIGHT
    out = [f'<text x="{left}" y="{TOP - 16}" font-weight="600">{title}</text>']
    for level in levels:
        at = TOP + HEIGHT - (level - low) / (high - low) * HEIGHT
        out.append(f'<line x1="{left}" x2="{left + WIDTH}" y1="{at:.1f}" y2="{at:.1f}" stroke="{GRID}"/>')
        out.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{level:+.0f}</text>')
    for hour in hours:
        at = left + hour / hours[-1] * WIDTH
        out.append(f'<text x="{at:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{hour:.0f} h</text>')
    order = np.argsort(mv[0])
    for place in [*order[1:-1], order[0], order[-1]]:
        colour = HIGH if place == order[-1] else LOW if place == order[0] else OTHER
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y[:, place], strict=True))
        width = 1.0 if colour == OTHER else 2.2
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="{width}" points="{points}"/>')
    return out


def main() -> None:
    """Run both strings and write the file."""
    lfp_h, lfp_v = voltages(lfp_string(0.022, Power(0.2, 0.7)), 16.0, 1200.0)
    vrla_h, vrla_v = voltages(vrla_string(lead_with_range(0.418), Power(0.1, 1.4)), 16.0, 1200.0)
    at_rest = lfp_v[3:]  # the first hour is the end of the charge before
    hours = [0.0, 4.0, 8.0, 12.0, 16.0]
    second = LEFT + WIDTH + GAP
    parts = panel(
        LEFT, "16 LFP cells of 100 Ah, 2.2 %, 0.2 A / 0.7 W", lfp_h[3:],
        (at_rest - at_rest.mean(axis=1, keepdims=True)) * 1e3, (hours, [-100.0, -50.0, 0.0, 50.0, 100.0, 150.0]),
    )  # fmt: skip
    parts += panel(
        second, "40 VRLA blocks of 12 V 100 Ah, 0.1 A / 1.4 W", vrla_h,
        (vrla_v - vrla_v.mean(axis=1, keepdims=True)) * 1e3, (hours, [-300.0, -200.0, -100.0, 0.0, 100.0, 200.0]),
    )  # fmt: skip
    width, height = second + WIDTH + 24, TOP + HEIGHT + 58
    legend = "true voltage of each unit against the mean of its string, mV; orange the highest at the start, blue the "
    legend += "lowest; simulated"
    FILE.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + f'\n<text x="{LEFT}" y="{height - 14:.0f}" font-size="12">{legend}</text>\n</svg>\n',
        "utf-8",
    )


if __name__ == "__main__":
    main()

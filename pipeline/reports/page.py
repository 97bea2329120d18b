"""A report's page: one HTML file without scripts that asks nobody for anything. All text is escaped here."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

# Also the proof that a file is one of ours, which a new report may replace.
GENERATOR = '<meta name="generator" content="gridstride report">'
HEAD = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n' + GENERATOR + "\n"
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'\">\n"
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    '<meta name="color-scheme" content="light dark">\n'
)
STYLE = """
:root { --paper: #ffffff; --card: #f5f7f9; --ink: #1d2733; --soft: #566474; --line: #d3dae1; --link: #1f6fb2;
  --good: #1b7f4b; --warn: #9a6200; --bad: #b3263a; --busy: #1f6fb2; }
@media (prefers-color-scheme: dark) { :root { --paper: #14191f; --card: #1d242c; --ink: #e4e9ee; --soft: #9cabb9;
  --line: #3a4550; --link: #6db3ee; --good: #5fcf95; --warn: #e9b44c; --bad: #ff8592; --busy: #6db3ee; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 28px 28px 64px; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .35rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .7rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
p { margin: .3rem 0 .8rem; overflow-wrap: anywhere; }
.soft, figcaption { color: var(--soft); }
.eyebrow { color: var(--soft); font-size: .85rem; letter-spacing: .04em; margin: 0 0 .4rem; }
.outcome { display: inline-block; border: 1.5px solid; border-radius: 999px; padding: .1rem .8rem; font-weight: 600;
  margin-right: .6rem; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); } .busy { color: var(--busy); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 1.2rem 0 0; }
.tiles div { background: var(--card); border-radius: 10px; padding: .7rem .9rem; }
.tiles dt { color: var(--soft); font-size: .82rem; }
.tiles dd { margin: 0; font-size: 1.15rem; font-weight: 600; overflow-wrap: anywhere; }
figure { margin: 0 0 1rem; }
figure svg { display: block; width: 100%; height: auto; }
figure img { display: block; max-width: 100%; height: auto; border-radius: 8px; }
.picture { display: inline-block; max-width: 100%; background: #ffffff; border: 1px solid var(--line);
  border-radius: 10px; padding: 10px; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 16px; }
figcaption { font-size: .88rem; margin-top: .4rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.scroll table { min-width: 700px; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; vertical-align: top; padding: .36rem .9rem .36rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; }
tbody th { width: 12rem; font-weight: 500; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.short, th.short { white-space: nowrap; }
summary { cursor: pointer; color: var(--link); }
pre { background: var(--card); border-radius: 8px; padding: .8rem 1rem; margin: .3rem 0; white-space: pre-wrap;
  overflow-wrap: anywhere; font: .9rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
footer { color: var(--soft); font-size: .85rem; margin-top: 2.6rem; }
@media print { main { max-width: none; padding: 0; } section { break-inside: avoid; } }
"""


@dataclass
class Page:
    """A page that grows section by section. What is passed as text is escaped; `body` holds finished HTML."""

    title: str
    body: list[str] = field(default_factory=list)

    def header(self, eyebrow: str, kind: str, outcome: str, lead: str, tiles: Mapping[str, tuple[str, str]]) -> None:
        """The title and what came of it. kind: good, warn, bad or busy; tiles: {id: (name, value)}"""
        self.body.append(
            f'<p class="eyebrow">{escape(eyebrow)}</p>\n<h1>{escape(self.title)}</h1>\n'
            f'<p><span class="outcome {escape(kind)}" id="outcome">{escape(outcome)}</span> '
            f'<span class="soft">{escape(lead)}</span></p>\n<dl class="tiles">'
        )
        for name, (label, value) in tiles.items():
            self.body.append(f'<div><dt>{escape(label)}</dt><dd id="{escape(name)}">{escape(value)}</dd></div>')
        self.body.append("</dl>")

    def section(self, name: str, heading: str, *parts: str) -> None:
        """A section of finished HTML, as the functions below make it."""
        self.body.append(
            f'<section id="{escape(name)}" aria-labelledby="{escape(name)}-title">\n'
            f'<h2 id="{escape(name)}-title">{escape(heading)}</h2>\n' + "\n".join(parts) + "\n</section>"
        )

    def render(self, footer: str) -> str:
        return (
            f"{HEAD}<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
            + "\n".join(self.body)
            + f"\n<footer>{escape(footer)}</footer>\n</main>\n</body>\n</html>\n"
        )


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{escape(kind)}">{escape(text)}</p>'


def code(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def chart(drawing: str, caption: str) -> str:
    """A drawing in SVG, which is taken as it is."""
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def picture(png: bytes, alt: str, caption: str) -> str:
    data = base64.b64encode(png).decode()
    return (
        f'<figure><span class="picture"><img src="data:image/png;base64,{data}" alt="{escape(alt)}"></span>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def side_by_side(parts: Iterable[str]) -> str:
    return '<div class="pictures">' + "\n".join(parts) + "</div>"


def facts(rows: Mapping[str, str]) -> str:
    """A table of names and values."""
    lines = [f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>' for name, text in rows.items()]
    return "<table><tbody>" + "\n".join(lines) + "</tbody></table>"


def folded(summary: str, inside: str) -> str:
    """Finished HTML that is shown when the reader asks for it."""
    return f"<details><summary>{escape(summary)}</summary>{inside}</details>"


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = (), short: Sequence[str] = ()
) -> str:
    """A table with a heading for each column; `numbers` stand to the right, and neither they nor `short` ones wrap."""
    kinds = [' class="number"' if name in numbers else ' class="short"' if name in short else "" for name in columns]
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(columns, kinds, strict=True))
    lines = [
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    ]
    head, body = f"<thead><tr>{head}</tr></thead>", "<tbody>" + "\n".join(lines) + "</tbody>"
    return f'<div class="scroll"><table>{head}{body}</table></div>'

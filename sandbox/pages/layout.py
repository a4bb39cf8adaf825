"""The frame all pages share: plain HTML and a few lines of style, readable on a phone, no scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

from ..http import Raw, Reply

_STYLE = (
    "body{font:17px/1.5 system-ui,sans-serif;max-width:28rem;margin:0 auto;padding:1.5rem 1rem;color:#1c2430;"
    "background:#f6f7f9}main{background:#fff;border:1px solid #d9dee5;border-radius:10px;padding:1.25rem}"
    "h1{font-size:1.6rem;margin:.2rem 0}label{display:block;margin:1rem 0 .3rem}"
    "input,button{font:inherit;width:100%;min-height:3rem;box-sizing:border-box;padding:.7rem;border-radius:8px;"
    "border:1px solid #98a2b3}"
    "button{margin-top:.7rem;background:#fff;cursor:pointer}button.first{background:#1d4ed8;color:#fff;border:0}"
    ".said{padding:.6rem .8rem;border-radius:8px;background:#fdecea;color:#8c1d13}.small{font-size:.88rem;color:#556}"
    "table{width:100%;border-collapse:collapse;font-size:.85rem;margin-top:1rem}td{padding:.25rem 0;vertical-align:top;"
    "border-top:1px solid #e6e9ee}code{white-space:nowrap}"
    "fieldset{border:1px solid #d9dee5;border-radius:8px;margin:1rem 0 0;padding:.2rem .8rem .6rem}"
    ".pick{min-height:2.75rem;display:flex;align-items:center;gap:.6rem;margin:.3rem 0}"
    ".pick input{width:1.3rem;height:1.3rem;min-height:0;margin:0}"
)


def page(title: str, body: str, status: int = 200) -> Reply:
    """`body` is HTML that has been escaped already."""
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f'<body><p class="small">Sandbox: no real money moves here.</p><main>{body}</main></body></html>'
    )
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Reply(status, html.encode(), headers, "text/html; charset=utf-8")


def message(title: str, text: str, status: int = 200) -> Reply:
    """A page that ends the way: nothing to fill in."""
    return page(title, f"<h1>{escape(title)}</h1><p>{escape(text)}</p>", status)


def redirect(url: str, **added: str) -> Reply:
    """303 to `url` with parameters added to those it has."""
    if not added:
        return Reply(303, b"", {"Location": url}, "text/html")
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *added.items()]
    return Reply(303, b"", {"Location": urlunsplit(parts._replace(query=urlencode(query)))}, "text/html")


def posted(raw: Raw) -> dict[str, str]:
    """The fields of a submitted form."""
    fields = parse_qs(raw.body.decode(errors="replace"), keep_blank_values=True)
    return {name: values[-1] for name, values in fields.items()}


def card_form(
    buttons: Iterable[tuple[str, str]],
    card: str,
    said: str | None,
    saved: Sequence[tuple[str, str]] = (),
    keep: str | None = None,
) -> str:
    """The form with the field `card` and one button an `action`, and what was said about the last try.

    `saved` offers kept cards as `payment_method`, the first one picked; `keep` labels the tick box `save`.
    """
    rows = [f'<p class="said" role="alert">{escape(said)}</p>' if said else ""]
    rows.append('<form method="post">')
    if saved:
        rows.append(_saved(saved))
    rows.append('<label for="card">Card number</label>')
    rows.append(
        f'<input id="card" name="card" inputmode="numeric" autocomplete="off" value="{escape(card)}" maxlength="64">'
    )
    if keep:
        rows.append(f'<label class="pick"><input type="checkbox" name="save" value="yes"> {escape(keep)}</label>')
    rows.extend(button(action, label, first=number == 0) for number, (action, label) in enumerate(buttons))
    rows.append("</form>")
    return "".join(rows)


def _saved(saved: Sequence[tuple[str, str]]) -> str:
    rows = [
        f'<label class="pick"><input type="radio" name="payment_method" value="{escape(id)}"'
        f"{' checked' if number == 0 else ''}> {escape(name)}</label>"
        for number, (id, name) in enumerate((*saved, ("", "Another card")))
    ]
    return f"<fieldset><legend>Pay with</legend>{''.join(rows)}</fieldset>"


def channel_form(channels: Iterable[tuple[str, str]]) -> str:
    """One button a way to pay that needs no card; the field `channel` says which."""
    rows = "".join(
        f'<button name="channel" value="{escape(name)}">{escape(label)}</button>' for name, label in channels
    )
    return f'<form method="post"><input type="hidden" name="action" value="channel">{rows}</form>' if rows else ""


def choices(buttons: Iterable[tuple[str, str]]) -> str:
    shown = (button(action, label, first=number == 0) for number, (action, label) in enumerate(buttons))
    return f'<form method="post">{"".join(shown)}</form>'


def button(action: str, label: str, first: bool) -> str:
    kind = ' class="first"' if first else ""
    return f'<button{kind} name="action" value="{escape(action)}">{escape(label)}</button>'


def test_cards(cards: Iterable[tuple[str, str]]) -> str:
    """A table of numbers to try, grouped by fours as on a card."""
    rows = "".join(
        f"<tr><td><code>{escape(' '.join(number[i : i + 4] for i in range(0, len(number), 4)))}</code></td>"
        f"<td>{escape(what)}</td></tr>"
        for number, what in cards
    )
    return f"<table><caption class='small'>Test cards</caption>{rows}</table>"

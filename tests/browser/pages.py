"""Every page of a merchant with who may see it, and how to judge one that is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from playwright.sync_api import Page

from tests.browser.stage import Stage

ROLES = ("viewer", "support", "finance", "admin")
_ALL = frozenset(ROLES)

#: Page -> who may see it; `{…}` is one of the stage's ids.
PAGES: Mapping[str, frozenset[str]] = {
    "": _ALL,
    "/payments": _ALL,
    "/payments/{payment}": _ALL,
    "/jobs": _ALL,
    "/jobs?status=any": _ALL,
    "/jobs/{job}": _ALL,
    "/jobs/{undecided}": _ALL,
    "/inbox": _ALL,
    "/inbox/{parked}": _ALL,
    "/inbox/range?status=parked": frozenset({"support", "admin"}),
    "/events": _ALL,
    "/events/{event}": _ALL,
    "/endpoints": _ALL,
    "/findings": _ALL,
    "/findings/{statement_amount_differs}": _ALL,
    "/findings/{surplus_received}": _ALL,
    "/findings/{surplus_received}/give-back": frozenset({"finance", "admin"}),
    "/reconciliation": _ALL,
    "/reconciliation/{run}": _ALL,
    "/payouts": _ALL,
    "/payouts/{account}/po_1": _ALL,
    "/accounts": _ALL,
    "/accounts/{account}": _ALL,
    "/routes?amount=5000&currency=USD": _ALL,
    "/reports?by_day=yes&by_provider=yes": _ALL,
    "/audit": frozenset({"finance", "admin"}),
    "/keys": _ALL,
    "/keys/new": frozenset({"admin"}),
}
#: Words of the menu that each role sees, in order.
_EVERYBODY = (
    "Overview", "Payments", "Jobs", "Inbox", "Events", "Findings", "Reconciliation", "Payouts", "Providers", "Routes",
    "Reports", "API keys",
)  # fmt: skip
MENUS: Mapping[str, Sequence[str]] = {
    "viewer": _EVERYBODY,
    "support": _EVERYBODY,
    "finance": (*_EVERYBODY, "Audit"),
    "admin": (*_EVERYBODY, "Audit", "People"),
}


def address(stage: Stage, page: str) -> str:
    return stage.home + page.format(**stage.ids)


def of_role(stage: Stage, role: str) -> list[str]:
    return [address(stage, page) for page, roles in PAGES.items() if role in roles]


def too_wide(page: Page) -> list[str]:
    """What sticks out to the right, where the page itself would have to be pushed aside."""
    found: list[str] = page.evaluate(
        """() => document.documentElement.scrollWidth <= window.innerWidth ? [] :
        ['the page', ...[...document.querySelectorAll('body *')]
            .filter(one => one.getBoundingClientRect().right > window.innerWidth + 1 && !one.closest('.wide, .menu'))
            .map(one => one.tagName + ' ' + (one.textContent || '').trim().slice(0, 40))]"""
    )
    return found


def unnamed(page: Page) -> list[str]:
    """Fields, buttons, links and pictures that somebody who does not see cannot tell apart; headings that jump."""
    found: list[str] = page.evaluate(
        """() => {
        const wrong = [];
        for (const field of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
            if (![...field.labels].some(label => label.textContent.trim())) wrong.push('no label: ' + field.name);
        for (const one of document.querySelectorAll('a, button, summary, [role=img]'))
            if (!(one.textContent || '').trim() && !one.getAttribute('aria-label'))
                wrong.push('no name: ' + one.outerHTML);
        let level = 0;
        for (const heading of document.querySelectorAll('h1, h2, h3, h4')) {
            const now = Number(heading.tagName[1]);
            if (now > level + 1) wrong.push('jumps to ' + heading.tagName + ' ' + heading.textContent);
            level = now;
        }
        const ids = [...document.querySelectorAll('[id]')].map(one => one.id);
        for (const id of ids) if (ids.filter(one => one === id).length > 1) wrong.push('twice: ' + id);
        if (document.querySelectorAll('h1').length !== 1) wrong.push('not one h1');
        if (!document.documentElement.lang) wrong.push('no language');
        return wrong; }"""
    )
    return found


def faint(page: Page) -> list[str]:
    """Texts whose colour is too near to what is behind them (WCAG 2.2: 4.5 to 1)."""
    found: list[str] = page.evaluate(
        r"""() => {
        const parse = text => (text.match(/[\d.]+/g) || []).map(Number);
        const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
            .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
        const behind = one => {
            for (let at = one; at; at = at.parentElement) {
                const colour = parse(getComputedStyle(at).backgroundColor);
                if (colour.length === 3 || colour[3] === 1) return colour;
            }
            return [255, 255, 255];
        };
        const wrong = new Set();
        for (const one of document.querySelectorAll('body *')) {
            const own = [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
            if (!own || !one.getClientRects().length || one.closest('svg, option, script')) continue;
            const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))];
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            const name = one.tagName + '.' + one.className + ' ' + one.textContent.trim().slice(0, 30);
            if (ratio < 4.5) wrong.add(ratio.toFixed(2) + ' ' + name);
        }
        return [...wrong]; }"""
    )
    return found

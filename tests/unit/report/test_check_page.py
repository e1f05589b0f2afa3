# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a report, as text and in a real Chromium."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.action.check_report import page
from ansible_collections.vmstation.cluster.plugins.module_utils._report.build import report

from tests.unit.report import check_samples as samples

STYLE = (samples.CHECKOUT / "plugins/module_utils/_report/report.css").read_text()
LIGHT, DARK = (dict(re.findall(r"--(\w+): (#\w{6});", block)) for block in re.findall(r":root \{(.+?)\}", STYLE, re.DOTALL))
# text of each of these colours is on each of these grounds
TEXT = ("ink", "soft", "link", "ok", "asleep", "warning", "unknown", "error")
GROUND = ("page", "card")
SAMPLES = {
    "healthy": samples.healthy(),
    "faulty": samples.faulty(),
    "hostile": samples.hostile(),
    "one host": samples.healthy(samples.many(1)),
    "six hosts": samples.healthy(samples.many(6)),
    "many hosts": samples.healthy(samples.many(300)),
}
every_sample = pytest.mark.parametrize("told", SAMPLES.values(), ids=SAMPLES)

CHROMIUM = shutil.which("chromium")
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="not installed: chromium (`make test` installs it)")
SWITCHES = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
QUIET = ("--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND")

# What a test wants to know of the page, written to where --dump-dom shows it. The page stands in a frame as wide as the screen.
MEASURE = """
<iframe style="width:%dpx;height:800px;border:0"></iframe><pre id="measured"></pre><script>
const frame = document.querySelector("iframe"); frame.srcdoc = %s;
frame.onload = () => {
  const page = frame.contentDocument, view = frame.contentWindow, shown = one => one.checkVisibility();
  const inked = one => view.getComputedStyle(one);
  document.getElementById("measured").textContent = JSON.stringify({
    width: page.documentElement.clientWidth, needed: page.documentElement.scrollWidth,
    background: inked(page.body).backgroundColor, ink: inked(page.body).color,
    pictures: [...page.querySelectorAll("svg.picture")].filter(shown).map(one => one.getAttribute("class")),
    smallest: Math.min(99, ...[...page.querySelectorAll("svg.picture text")].filter(shown)
      .map(one => one.getBoundingClientRect().height)),
    scripts: page.querySelectorAll("script").length, handlers: page.querySelectorAll("[onload]").length,
    loaded: view.performance.getEntriesByType("resource").length,
    first: page.querySelector("a, summary").className, opened: page.querySelectorAll("details[open]").length,
    outside: [...page.querySelectorAll("svg.picture")].filter(shown).flatMap(picture => {
      const frame = picture.getBoundingClientRect();
      return [...picture.querySelectorAll("text, rect, path")]
        .map(one => [one.getBoundingClientRect(), one.textContent])
        .filter(([box]) => box.left < frame.left - 2 || box.right > frame.right + 2 || box.bottom > frame.bottom + 2)
        .map(([box, told]) => told);
    }),
  });
};
</script>
"""


def measured(told: dict[str, Any], width: int, directory: Path, *switches: str) -> dict[str, Any]:
    """What Chromium says of the page on a screen of this width."""
    wrapper = directory / "wrapper.html"
    wrapper.write_text(MEASURE % (width, json.dumps(page(report(told))).replace("</", "<\\/").replace("<!--", "<\\!--")))
    profile = f"--user-data-dir={directory / 'profile'}"
    command = [str(CHROMIUM), *SWITCHES, *QUIET, profile, "--window-size=1400,1000", *switches, "--dump-dom", wrapper.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'<pre id="measured">(.+?)</pre>', shown, re.DOTALL)
    assert found, shown[:2000]
    result: dict[str, Any] = json.loads(unescape(found[1]))
    return result


def colour(value: str) -> str:
    return f"rgb({', '.join(str(int(value[at : at + 2], 16)) for at in (1, 3, 5))})"


class Elements(HTMLParser):
    """The elements of a page, and those that were not closed in order."""

    VOID = ("meta", "br", "!doctype")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.wrong: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@every_sample
def test_the_page_is_whole(told: dict[str, Any]) -> None:
    elements = Elements(page(report(told)))
    assert (elements.open, elements.wrong) == ([], [])
    names = [attributes["id"] for _tag, attributes in elements.all if "id" in attributes]
    assert len(names) == len(set(names))
    described = [attributes["aria-labelledby"] for _tag, attributes in elements.all if attributes.get("role") == "img"]
    assert [name for told in described for name in (told or "").split() if name not in names] == []


@every_sample
def test_the_page_needs_nothing_else(told: dict[str, Any]) -> None:
    elements = Elements(page(report(told)))
    assert {tag for tag, _attributes in elements.all} & {"script", "link", "img", "iframe", "object"} == set()
    assert [name for _tag, attributes in elements.all for name in attributes if name == "src" or name.startswith("on")] == []


def test_every_thing_that_is_to_do_is_on_the_page_with_its_fix() -> None:
    made = report(samples.faulty())
    plain = unescape(re.sub(r"<[^>]+>", "", page(made)))
    for line in made.lines:
        assert line.subject in plain
        if line.mark in {"error", "warning", "unknown"}:
            assert line.fix.replace("`", "") in plain


def test_values_stand_as_text() -> None:
    told = page(report(samples.hostile()))
    assert "<script" not in told
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in told
    assert "\x01" not in told


@in_chromium
@pytest.mark.parametrize("width", [320, 360, 1200])
@pytest.mark.parametrize("name", ["faulty", "hostile", "one host", "six hosts", "many hosts"])
def test_nothing_is_wider_than_the_screen(name: str, width: int, tmp_path: Path) -> None:
    seen = measured(SAMPLES[name], width, tmp_path)
    assert seen["needed"] <= seen["width"]
    assert (seen["scripts"], seen["handlers"], seen["loaded"]) == (0, 0, 0)
    assert seen["outside"] == [] or name == "hostile"


@in_chromium
@pytest.mark.parametrize(("width", "shape"), [(360, "picture tall"), (1200, "picture wide")])
def test_one_picture_is_shown_and_can_be_read(width: int, shape: str, tmp_path: Path) -> None:
    seen = measured(SAMPLES["faulty"], width, tmp_path)
    assert seen["pictures"] == [shape]
    assert seen["smallest"] >= 11
    assert seen["first"] == "skip"


@in_chromium
@pytest.mark.parametrize(("switch", "colours"), [("1", LIGHT), ("0", DARK)], ids=["light", "dark"])
def test_the_page_follows_the_colours_of_the_system(switch: str, colours: dict[str, str], tmp_path: Path) -> None:
    seen = measured(SAMPLES["faulty"], 800, tmp_path, f"--blink-settings=preferredColorScheme={switch}")
    assert (seen["background"], seen["ink"]) == (colour(colours["page"]), colour(colours["ink"]))


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("ground", GROUND)
@pytest.mark.parametrize("ink", TEXT)
@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(colours: dict[str, str], ink: str, ground: str) -> None:
    darker, lighter = sorted((luminance(colours[ink]), luminance(colours[ground])))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5

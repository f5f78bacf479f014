"""The report page in a real browser: needs the dependency group browser and a Chromium binary.

python -m pytest -m browser tests/report/test_report_browser.py
"""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from test_report import EXPERIMENTS, make_files, make_svg, write_profile

from hw1_jax.report.page import build

pytestmark = pytest.mark.browser

FLAGS = (
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
)


@pytest.fixture(scope="module")
def browser():
  api = pytest.importorskip("playwright.sync_api", reason="needs the dependency group browser")
  chromium = shutil.which("chromium") or shutil.which("chromium-browser")
  if chromium is None:
    pytest.skip("no chromium on the PATH; on Debian: apt-get install chromium")
  flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(FLAGS)  # root has no sandbox
  with api.sync_playwright() as playwright:
    running = playwright.chromium.launch(executable_path=chromium, args=flags)
    yield running
    running.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
  """A page with whole, missing, failed and damaged runs, and one that is too wide everywhere."""
  profile = write_profile(tmp_path_factory.mktemp("browser") / "quick")
  long_word = "a_word_without_an_end_" * 20
  files = make_files("simulate_function")
  files["config.json"][long_word] = long_word
  files["provenance.json"] |= {"command": long_word, "message": long_word, "platform": long_word}
  summary = files["summary.json"]
  summary["findings"].append(long_word)
  summary["captions"]["wide"] = long_word
  summary["numbers"][0] |= {"name": long_word, "note": long_word, "reported": long_word}
  summary["claims"][0] |= {"id": long_word, "text": long_word, "evidence": long_word}
  summary["tables"]["wide"] = [{f"column_{i}": i / 7 for i in range(40)}] * 40
  summary["tables"][long_word] = [{long_word: long_word}]
  folder = profile / "simulate_function"
  for name, value in files.items():
    (folder / name).write_text(json.dumps(value))
  (folder / "figures" / "wide.svg").write_bytes(make_svg(width=2000))
  figure = Figure(figsize=(7, 4), layout="constrained")
  figure.subplots().plot([1, 2, 3], [3, 1, 2])
  figure.savefig(profile / "gradient_norm" / "figures" / "norm_and_loss.svg")
  return build(profile)


@pytest.fixture
def open_page(browser, path):
  """Returns a function that opens the page at a width and fails if it complains or phones out."""
  seen: dict[str, list[str]] = {"complaints": [], "requests": []}
  contexts = []

  def open_at(width: int, **options):
    contexts.append(browser.new_context(viewport={"width": width, "height": 800}, **options))
    page = contexts[-1].new_page()
    page.on("console", lambda message: seen["complaints"].append(message.text))
    page.on("pageerror", lambda error: seen["complaints"].append(str(error)))
    page.on("request", lambda request: seen["requests"].append(request.url))
    page.goto(path.as_uri(), wait_until="load")
    return page

  yield open_at
  for context in contexts:
    context.close()
  assert seen["complaints"] == []
  outside = [url for url in seen["requests"] if not url.startswith("data:")]
  assert outside == [path.as_uri()] * len(contexts)


def open_details(page) -> None:
  page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")


def test_all_sections_are_visible(open_page):
  page = open_page(1280)
  assert page.title().endswith("profile quick")
  for experiment in EXPERIMENTS:
    assert page.locator(f"h3#{experiment}").is_visible()
    page.click(f"nav a[href='#{experiment}']")
    assert page.url.endswith(f"#{experiment}")
  assert page.get_by_text("This run failed: epoch 7: the loss is NaN").is_visible()


def test_every_image_is_drawn(open_page):
  page = open_page(1280)
  widths = page.evaluate("[...document.images].map(i => i.complete ? i.naturalWidth : 0)")
  assert len(widths) == len(EXPERIMENTS) + 2 - 1 + 1  # two variants, one missing, a second figure
  assert min(widths) > 0


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
@pytest.mark.parametrize("opened", [False, True])
def test_page_does_not_scroll_sideways(open_page, width, opened):
  page = open_page(width)
  if opened:
    open_details(page)
  assert page.evaluate("document.scrollingElement.scrollWidth") <= width
  inside = "e => e.getBoundingClientRect().right <= window.innerWidth + 1"
  assert page.evaluate(
    f"[...document.querySelectorAll('.scroll, p, h3, dl, figure')].every({inside})"
  )


def test_wide_parts_scroll_with_the_keyboard(open_page):
  page = open_page(375)
  open_details(page)
  wide = page.get_by_role("region", name="Figure of 1.1.1: Wide")
  wide.focus()
  page.keyboard.press("ArrowRight")
  page.wait_for_function("e => e.scrollLeft > 0", arg=wide.element_handle())


def test_decimal_points_stand_in_line(open_page):
  page = open_page(1280)
  open_details(page)
  edges = page.evaluate(
    """[...document.querySelectorAll('table.numbers')].map(table => [1, 2, 3, 4].map(column =>
      [...table.querySelectorAll(`tbody tr td:nth-of-type(${column}) .tail`)]
        .map(tail => tail.getBoundingClientRect().left)))"""
  )
  columns = [column for table in edges for column in table]
  assert len(columns) >= 4 * 7
  assert all(len(column) >= 4 and max(column) - min(column) < 0.5 for column in columns)


# Every element of a section that takes up space, as [section, tag, text, left, right] where it
# sticks out of the window or out of the section; what scrolls in a region of its own does not.
STICKING_OUT = """() => [...document.querySelectorAll('section')].flatMap(section =>
  [...section.querySelectorAll('*')].filter(e => !e.closest('.scroll, .unseen, thead, svg'))
    .map(e => [section, e, e.getBoundingClientRect(), section.getBoundingClientRect()])
    .filter(([s, e, box, around]) => box.width > 0 && (box.left < around.left - 1 ||
      box.right > around.right + 1 || box.right > window.innerWidth))
    .map(([s, e, box]) => [s.getAttribute('aria-labelledby'), e.tagName, e.innerText, box.right]))
"""


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("opened", [False, True])
def test_nothing_sticks_out_of_its_section(open_page, width, opened):
  page = open_page(width)
  if opened:
    open_details(page)
  assert page.evaluate(STICKING_OUT) == []
  # a section pictured is as wide as the window allows, and not blank
  for experiment in ("gradient_norm", "simulate_function"):
    section = page.locator(f"section[aria-labelledby='{experiment}']")
    assert len(section.screenshot()) > 5000


def test_rows_become_cards_on_a_phone_and_lose_nothing(open_page):
  rows = "table.cards tbody tr"
  cells = f"""() => [...document.querySelectorAll('{rows}')].map(row => [...row.cells]
    .filter(c => c.offsetHeight > 0).map(c => c.innerText.replace(/\\s+/g, ''))
    .join('|'))"""
  wide, narrow = open_page(1280), open_page(375)
  for page in (wide, narrow):
    open_details(page)
  assert narrow.evaluate(f"getComputedStyle(document.querySelector('{rows}')).display") == "block"
  assert wide.evaluate(f"getComputedStyle(document.querySelector('{rows}')).display") == "table-row"
  told = [
    [re.sub(r"\|+", "|", text).strip("|") for text in page.evaluate(cells)]
    for page in (wide, narrow)
  ]
  assert len(told[0]) > 50
  assert told[0] == told[1]
  label = "getComputedStyle(document.querySelector('table.numbers td'), '::before').content"
  assert narrow.evaluate(label) == '"Reported"'


def test_contents_follow_on_wide_screens(open_page):
  page = open_page(1280)
  page.locator("h3#sensitivity").scroll_into_view_if_needed()
  assert page.evaluate("document.querySelector('nav').getBoundingClientRect().top") >= 0
  assert page.locator("nav a[href='#made']").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_axe_finds_no_violation(open_page, width, scheme):
  axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="see above").Axe()
  # the page's own policy forbids scripts, axe's too
  page = open_page(width, bypass_csp=True, color_scheme=scheme)
  open_details(page)
  dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
  assert dark == (scheme == "dark")
  results = axe.run(page)
  assert results.violations_count == 0, results.generate_report()
  assert len(results.response["passes"]) > 20


def test_policy_forbids_scripts_and_loading(open_page):
  page = open_page(1280)
  policy = page.get_attribute("meta[http-equiv]", "content")
  assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_prints_to_pdf(open_page):
  page = open_page(1280)
  pdf = page.pdf(format="A4")
  assert pdf.startswith(b"%PDF")
  assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 5


def test_print_fits_the_paper_and_opens_provenance(open_page):
  page = open_page(700)  # about A4 less its margins
  page.emulate_media(media="print")
  assert page.evaluate("document.scrollingElement.scrollWidth") <= 700
  assert not page.locator("nav").is_visible()
  assert page.locator("details.provenance code").first.is_visible()
  assert not page.locator("table.data").first.is_visible()
  assert page.evaluate("[...document.images].every(i => i.getBoundingClientRect().right <= 700)")

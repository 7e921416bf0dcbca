"""The page in a real browser, on a made pipeline."""

from urllib.parse import urlsplit

import pytest
from browser import wait_until
from view_pages import LivePipeline, make_estimate, make_slice, serving

TOKEN = 'a long enough token'
STATE = "document.getElementById('state-words').textContent"
BUTTONS = "document.querySelectorAll('#movements button')"

# Number of different colours in the middle row of a canvas.
COLOURS = """(selector) => {
  const canvas = document.querySelector(selector);
  if (!canvas) return 0;
  const { data } = canvas.getContext('2d').getImageData(0, canvas.height >> 1, canvas.width, 1);
  return new Set(new Uint32Array(data.buffer)).size;
}"""

# Every text with too little contrast to what is behind it, as WCAG 2.1 defines it.
TOO_FAINT = """(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  document.querySelectorAll('details').forEach((one) => { one.open = true; });
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  let seen = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (['SCRIPT', 'TEMPLATE'].includes(element.tagName)) continue;
    seen += 1;
    const [one, other] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.push([walker.currentNode.data.trim(), ratio]);
  }
  return [seen, found];
})()"""


# Where the last row of the units stands, once when all are active and once when none is.
LOWEST_ROW = """new Promise((done) => {
  const tops = {};
  const look = () => {
    const row = document.querySelector('.units tbody tr:last-child');
    tops[row.classList.contains('active')] = row.getBoundingClientRect().top;
    if (Object.keys(tops).length === 2) done([tops.true, tops.false]);
    else requestAnimationFrame(look);
  };
  look();
})"""


@pytest.fixture
def live():
    pipeline = LivePipeline()
    with serving(pipeline.compose) as server:
        server.pipeline = pipeline
        yield server


def colours(page, canvas):
    return page.evaluate(f"({COLOURS})('{canvas}')")


def test_it_draws_events_reconstruction_bars_and_timeline(page, live):
    page.open(live.url)
    page.until("document.querySelectorAll('.units tbody tr').length === 18")
    wait_until(lambda: colours(page, '.events canvas') > 1, 60)
    wait_until(lambda: colours(page, '.reconstruction canvas') >= 1, 60)
    page.until("document.querySelector('.active .right .fill')")
    # A bar of 0.25 is half as long as one of 1, the threshold of 0.01 a tenth.
    limit = page.evaluate("document.querySelector('.left .limit').style.left")
    assert float(limit.rstrip('%')) == pytest.approx(10)
    wait_until(lambda: colours(page, '.timeline canvas') > 1, 60)
    page.until(f"{STATE} === 'Reading the face'")
    texts = page.evaluate(
        "['latency', 'losses', 'clock'].map((id) => document.getElementById(id).textContent)"
    )
    assert texts == ['4.0 ms', '2 by the camera, 3 packets', 'software ± 0.25 ms']
    notices = page.evaluate("document.getElementById('notices').innerText")
    assert notices == 'synchronizer: something was lost'
    region = page.evaluate("document.querySelector('.region').textContent")
    assert region == '256 × 256 at 100, 50'


def test_peaks_are_held_for_a_second(page, live):
    page.open(live.url)
    page.until(f'{BUTTONS}.length > 0')  # A full period of the intensities is over.
    page.until("""[...document.querySelectorAll('.bar.left')].every((bar) => {
      const fill = new DOMMatrix(getComputedStyle(bar.querySelector('.fill')).transform).a;
      return parseFloat(bar.querySelector('.peak').style.left.slice(5)) / 100 > fill + 0.1;
    })""")


def test_a_movement_is_listed_announced_and_shown_again(page, live):
    page.open(live.url)
    page.until(f'{BUTTONS}.length > 1')
    text = page.evaluate(f'{BUTTONS}[0].innerText')
    assert 'AU 6 + 12' in text
    assert 'cheek raiser, lip corner puller' in text
    assert 'micro, 0.20 s, peak 0.25' in text
    page.until(
        "document.getElementById('announcement').textContent === "
        "'Micro movement: cheek raiser, lip corner puller'"
    )
    page.evaluate(f'{BUTTONS}[1].focus()')
    page.press('Enter', 13, '\r')
    page.until("!document.getElementById('replay').hidden")
    assert page.evaluate(f"{BUTTONS}[1].getAttribute('aria-current')") == 'true'
    spoken = page.evaluate("document.getElementById('replay-words').textContent")
    assert spoken == 'Again: cheek raiser, lip corner puller'
    page.press('s', 83, 's')
    assert page.evaluate("document.getElementById('slow').getAttribute('aria-pressed')") == 'true'
    page.press('Escape', 27)
    page.until("document.getElementById('replay').hidden")


def test_any_moment_of_the_timeline_is_shown_again(page, live):
    page.open(live.url)
    page.until(f'{BUTTONS}.length > 0')
    x, y = page.evaluate("""(() => {
      const box = document.querySelector('.timeline canvas').getBoundingClientRect();
      return [box.right - 5, box.top + box.height / 2];
    })()""")
    page.click(x, y)
    page.until("!document.getElementById('replay').hidden")


def test_a_pause_holds_the_picture_and_steps_back(page, live):
    page.open(live.url)
    page.until("document.querySelector('.active')")
    page.press('p', 80, 'p')
    pressed = "document.getElementById('pause').getAttribute('aria-pressed') === 'true'"
    page.until(pressed)
    fills = "[...document.querySelectorAll('.fill')].map((fill) => fill.style.transform).join()"
    before = page.evaluate(f'new Promise((r) => setTimeout(() => r({fills}), 100))')
    later = page.evaluate(f'new Promise((r) => setTimeout(() => r({fills}), 300))')
    assert before == later
    page.press('ArrowLeft', 37)
    page.until(f"{fills} !== '{before}'")
    page.press('p', 80, 'p')
    page.until(f'!({pressed})')


def test_it_survives_a_restart_of_the_server(page, live):
    port = urlsplit(live.url).port
    page.open(live.url)
    page.until(f'{BUTTONS}.length > 0')
    live.stop()
    page.until(f"{STATE} === 'Waiting for the pipeline, which is not reached'")
    again = LivePipeline()
    with serving(again.compose, port=port):
        page.until(f"{STATE} === 'Reading the face'")
        # Time began again, and what was found before can still be seen.
        page.until(f'{BUTTONS}.length > 1')
    refused = [error for error in page.errors if 'ERR_CONNECTION_REFUSED' not in error]
    page.errors[:] = refused


def test_a_silent_pipeline_is_said_so(page):
    with serving(lambda: None) as server:
        page.open(server.url)
        page.until(f"{STATE} === 'Waiting for the pipeline'")


def test_a_wrong_token_is_asked_for_again(page):
    with serving(LivePipeline().compose, token=TOKEN) as server:
        page.open(f'{server.url}#token=wrong-token')
        page.until("!document.getElementById('token-form').hidden")
        assert page.evaluate(STATE) == 'This page needs a token'
        assert page.evaluate("document.activeElement.id === 'token' && !location.hash")
        page.evaluate(f"document.getElementById('token').value = '{TOKEN}'")
        page.press('Enter', 13, '\r')
        page.until(f"{STATE} === 'Reading the face'")
        assert page.evaluate("document.getElementById('token-form').hidden")


def test_the_keyboard_reaches_every_control_in_the_order_of_the_page(page, live):
    page.open(live.url)
    page.until(f'{BUTTONS}.length > 1')
    live.pipeline.smiling = False  # A list that grows would move the controls.
    page.evaluate(f'{BUTTONS}[0].click()')
    controls = """[...document.querySelectorAll('button, input, summary, a')]
      .filter((one) => one.checkVisibility())"""
    count = page.evaluate(f'{controls}.length')
    assert count >= 6
    page.evaluate('document.activeElement.blur()')
    page.evaluate('window.reached = []')
    for _ in range(count):
        page.press('Tab', 9)
        page.evaluate('reached.push(document.activeElement)')
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle === 'solid'")
    same = f'{controls}.every((one, index) => one === reached[index])'
    assert page.evaluate(same), page.evaluate('reached.map((one) => one.outerHTML)')


def test_a_screen_reader_finds_names_and_values(page, live):
    page.open(live.url)
    page.until(f'{BUTTONS}.length > 0')
    page.until("document.querySelector('[aria-valuetext$=active]')")
    page.evaluate("document.getElementById('token-form').hidden = false")
    nodes = [
        (node['role']['value'], node.get('name', {}).get('value', ''))
        for node in page.call('Accessibility.getFullAXTree')['nodes']
        if not node['ignored']
    ]
    named = {'button', 'textbox', 'meter', 'table', 'image', 'complementary', 'article'}
    assert [role for role, name in nodes if role in named and not name] == []
    meters = [name for role, name in nodes if role == 'meter']
    assert len(meters) == 36
    assert 'AU 12 lip corner puller, left' in meters
    assert ('heading', 'microexpr live') in nodes
    assert ('heading', 'Movements found') in nodes
    assert page.evaluate("""[...document.querySelectorAll('li')].every(
      (one) => ['OL', 'UL'].includes(one.parentElement.tagName) && !one.parentElement.role)""")
    assert page.evaluate('document.documentElement.lang') == 'en'
    live_regions = page.evaluate(
        "[...document.querySelectorAll('[aria-live], [role=status]')].map((one) => one.id)"
    )
    assert {'state', 'notices', 'announcement', 'replay-words'} <= set(live_regions)


@pytest.mark.parametrize('scheme', ['dark', 'light'])
def test_texts_have_enough_contrast(page, live, scheme):
    page.resize(1280, 800, scheme)
    page.open(live.url)
    page.until(f"{BUTTONS}.length > 0 && document.querySelector('.active')")
    page.evaluate(f'{BUTTONS}[0].click()')
    seen, too_faint = page.evaluate(TOO_FAINT)
    assert seen > 60
    assert too_faint == []


SIZES = [(1280, 800), (1180, 820), (1024, 768), (820, 1180), (390, 844)]


@pytest.mark.parametrize('size', SIZES)
def test_it_fits_the_width_of_every_screen(page, live, size):
    page.resize(*size)
    page.open(live.url)
    page.until(f'{BUTTONS}.length > 0')
    assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')
    if size[0] > size[1]:
        assert page.evaluate('document.documentElement.scrollHeight <= innerHeight')


@pytest.mark.parametrize('size', SIZES)
def test_a_unit_that_becomes_active_does_not_move_the_others(page, live, size):
    page.resize(*size)
    page.open(live.url)
    page.until("document.querySelectorAll('.units tbody tr').length === 18")
    active, resting = page.evaluate(LOWEST_ROW)
    assert active == resting


def test_each_face_has_a_card(page):
    pipeline = LivePipeline()

    def two_faces():
        for face in ('face_0', 'face_1'):
            pipeline.composer.add_slice(make_slice(pipeline.number), face)
            pipeline.composer.add_estimate(make_estimate(pipeline.number), face)
        pipeline.number += 4
        return pipeline.composer.compose().to_bytes()

    with serving(two_faces) as server:
        page.open(server.url)
        page.until("document.querySelectorAll('.face').length === 2")
        page.until(f"{STATE} === '2 faces. Reading the face'")
        labels = page.evaluate(
            "[...document.querySelectorAll('.face')].map((one) => one.ariaLabel)"
        )
        assert labels == ['Face 1', 'Face 2']


def test_a_slow_page_does_not_hold_up_the_pipeline(page, live):
    page.open(live.url)
    page.until(f'{BUTTONS}.length > 0')
    page.evaluate("""(() => {
      const end = performance.now() + 1500;
      while (performance.now() < end);
    })()""")
    # Nothing was composed for it meanwhile, and it goes on where the pipeline is now.
    number = live.pipeline.number
    wait_until(lambda: live.pipeline.number > number + 40, 60)
    page.until(f"{STATE} === 'Reading the face'")

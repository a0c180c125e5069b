"""The page on the admin listener, in a real browser."""

import json
import pathlib

import pytest
from playwright.sync_api import expect, sync_playwright

from gateway_process import digest, upstream_model

CHROMIUM = pathlib.Path("/usr/bin/chromium")
SCRIPT = "What does <script>alert(1)</script> do?"
ENABLE, DISABLE = "How do I enable two-factor authentication?", "How do I disable two-factor authentication?"
CAPITAL, PARAPHRASE = "What is the capital of France?", "What's the capital of France?"
expect.set_options(timeout=20_000)  # milliseconds; the page reads anew every five seconds

if not CHROMIUM.is_file():
    pytest.skip(f"{CHROMIUM} is missing: install the packages of tests/packages.txt", allow_module_level=True)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A tab of its own. A complaint of the browser, of its content policy above all, fails the test."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
    yield page
    context.close()
    assert [text for text in complaints if "401" not in text] == []


@pytest.fixture
def fresh(start_gateway, upstream):
    """A gateway that nobody has asked anything yet."""
    return start_gateway([upstream_model(upstream.url)])


def ask(gateway, question, **more):
    body = {"model": "mock", "temperature": 0, "messages": [{"role": "user", "content": question}], **more}
    response = gateway.post(body)
    assert response.status_code == 200, response.text
    return response.headers


def tile(page, name):
    return page.locator(f"[data-tile={name}]")


def counts(page, which):
    """A row of the replay: exact, semantic, miss, unknown."""
    return page.locator("#replay-counts tbody tr").nth(which).locator("td").all_inner_texts()


def move_slider(page, to):
    page.get_by_role("slider", name="Threshold").fill(str(to))


def test_an_empty_cache_says_so(fresh, page):
    page.goto(fresh.admin_url)
    expect(tile(page, "hits")).to_contain_text("0 of 0 look-ups")
    expect(page.locator("#entries")).to_contain_text("No entries.")
    expect(page.locator("#reasons")).to_contain_text("No misses yet.")
    expect(page.locator("#lookups")).to_contain_text("Nothing was looked up yet.")
    expect(page.locator("#changes")).to_contain_text("No look-up would have ended otherwise.")


def test_hits_and_misses_appear_by_themselves_with_their_reasons(fresh, page):
    page.goto(fresh.admin_url)
    expect(tile(page, "hits")).to_contain_text("0 of 0 look-ups")
    assert [ask(fresh, question)["x-kvasir-cache"] for question in (CAPITAL, CAPITAL, PARAPHRASE)] == [
        "miss", "exact", "semantic"]
    ask(fresh, ENABLE)
    refused = ask(fresh, DISABLE)["x-kvasir-cache-reason"]
    assert refused.startswith("guard_")

    expect(tile(page, "hits")).to_contain_text("2 of 5 look-ups")
    expect(tile(page, "exact")).to_contain_text("20.0 %")
    expect(tile(page, "entries")).to_contain_text("3")
    expect(page.locator("#reasons")).to_contain_text(refused)
    nearest = page.locator("#near-misses tbody tr").first
    for text in DISABLE, ENABLE, refused:
        expect(nearest).to_contain_text(text)


def test_a_question_is_shown_as_text_whatever_it_holds(fresh, page):
    ask(fresh, SCRIPT, documents=[{"id": "<img src=x onerror=alert(2)>", "text": "It alerts."}])
    page.goto(fresh.admin_url)
    expect(page.locator("#entries")).to_contain_text(SCRIPT)
    expect(page.locator("#entries")).to_contain_text("<img src=x onerror=alert(2)>")
    assert page.locator("main script, main img").count() == 0


def test_the_slider_replays_the_last_lookups(fresh, page):
    for question in CAPITAL, PARAPHRASE, ENABLE, DISABLE:
        ask(fresh, question)
    page.goto(fresh.admin_url)
    expect(page.locator("#replay-counts tbody tr")).to_have_count(2)
    assert counts(page, 0)[:3] == ["0", "1", "3"]
    expect(page.locator("#replay-summary")).to_contain_text("0 of 4 look-ups")

    move_slider(page, 1)
    expect(page.locator("#replay-summary")).to_contain_text("1 of 4 look-ups")
    assert counts(page, 1) == ["0", "0", "4", "0"]
    expect(page.locator("#changes")).to_contain_text("miss: below_threshold")

    # Without guards the opposite would have answered; the page says which.
    move_slider(page, 0.75)
    page.get_by_label("Policy").select_option("threshold")
    expect(page.locator("#changes")).to_contain_text(ENABLE)
    assert counts(page, 1) == ["0", "2", "2", "0"]


def test_entries_are_filtered_and_paged(fresh, page):
    for i in range(23):
        ask(fresh, f"What is in the parcel number {i}?", documents=[{"id": f"list-{i}", "text": f"Parcel {i}."}])
    page.goto(fresh.admin_url)
    rows = page.locator("#entries tbody tr")
    expect(rows).to_have_count(20)
    page.get_by_role("button", name="Next").click()
    expect(rows).to_have_count(3)
    expect(page.locator("#page")).to_have_text("21 to 23 of 23")
    page.get_by_label("Document", exact=True).fill("list-7")
    page.get_by_role("button", name="Show").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("parcel number 7?")


def test_an_entry_is_deleted_only_after_a_yes(fresh, page):
    ask(fresh, CAPITAL)
    page.goto(fresh.admin_url)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Cancel").click()
    assert fresh.admin("GET", "/admin/cache/stats").json()["entries"] == 1
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#entries")).to_contain_text("No entries.")
    assert ask(fresh, CAPITAL)["x-kvasir-cache"] == "miss"


def test_invalidating_a_document_removes_what_came_from_it(fresh, page):
    for name in "manual", "menu":
        ask(fresh, f"What does the {name} say?", documents=[{"id": name, "text": name}])
    page.goto(fresh.admin_url)
    expect(page.locator("#entries tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Invalidate").click()
    expect(page.locator("#invalidated")).to_contain_text("Name documents")
    page.get_by_label("Documents, separated by commas").fill("manual, another")
    page.get_by_role("button", name="Invalidate").click()
    expect(page.locator("#confirm")).to_contain_text("documents manual, another")
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#invalidated")).to_contain_text("Removed 1 answers")
    expect(page.locator("#entries tbody tr")).to_have_count(1)
    expect(page.locator("#entries")).to_contain_text("menu")


def test_the_page_asks_for_the_admin_key(start_gateway, upstream, page):
    gateway = start_gateway([upstream_model(upstream.url)], auth={"admin": {"sha256": digest("operator")}})
    page.goto(gateway.admin_url)
    expect(page.locator("#login-message")).to_have_text("This admin API asks for a key.")
    expect(page.locator("#content")).to_be_hidden()
    for key, told in ("wrong", "This key is not the admin API's."), ("operator", None):
        page.get_by_label("Key").fill(key)
        page.get_by_role("button", name="Open").click()
        if told:
            expect(page.locator("#login-message")).to_have_text(told)
    expect(page.locator("#content")).to_be_visible()
    expect(page.locator("#login")).to_be_hidden()
    page.reload()
    expect(page.locator("#content")).to_be_visible()
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_without_the_admin_key_only_the_page_itself_is_served(start_gateway, upstream):
    gateway = start_gateway([upstream_model(upstream.url)], auth={"admin": {"sha256": digest("operator")}})
    for path in "/", "/dashboard.js", "/dashboard.css":
        response = gateway.admin("GET", path, headers={"accept": "text/html"})
        assert response.status_code == 200
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
    for path in "stats", "entries", "lookups", "replay?threshold=0.9":
        response = gateway.admin("GET", f"/admin/cache/{path}", headers={"accept": "text/html"})
        assert response.json()["error"]["code"] == "invalid_api_key"
    assert gateway.admin("GET", "/").status_code == 401


def test_other_programs_get_plain_text(fresh):
    response = fresh.admin("GET", "/")
    assert response.headers["content-type"].startswith("text/plain")
    assert "GET    /admin/cache/lookups" in response.text


@pytest.mark.parametrize("query, param", [
    ("", "threshold"), ("?threshold=high", "threshold"), ("?threshold=nan", "threshold"), ("?threshold=1.5", "threshold"),
    ("?threshold=0.9&policy=bounded", "policy"), ("?threshold=0.9&limit=-1", "limit"),
])
def test_a_replay_says_what_is_wrong_with_its_query(gateway, query, param):
    response = gateway.admin("GET", f"/admin/cache/replay{query}")
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_without_log_questions_none_is_kept(start_gateway, upstream):
    gateway = start_gateway([upstream_model(upstream.url)], cache={"log_questions": False})
    ask(gateway, CAPITAL)
    seen = gateway.admin("GET", "/admin/cache/lookups").json()
    assert seen["questions"] is False
    assert [lookup["question"] for lookup in seen["lookups"]] == [None]
    assert CAPITAL not in json.dumps(seen)

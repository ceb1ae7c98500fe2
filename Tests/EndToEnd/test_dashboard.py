"""The dashboard, in a browser, as an operator uses it."""

import json
import tempfile
import time
import unittest

from browser import Browser
from service import BINARY, ROOT, Server, ServiceTestCase

FUNCTIONS = ROOT + "/Examples/functions"
STATE = "document.querySelector('h1 .state')?.innerText"


class DashboardTests(ServiceTestCase):
    functions = FUNCTIONS

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = cls.enterClassContext(Browser())
        cls.origin = "http://127.0.0.1:%d" % cls.server.port

    def setUp(self):
        self.browser.faults.clear()
        self.browser.requests.clear()

    def tearDown(self):
        # Whatever a test did: no error was logged, and nothing was asked of another origin.
        self.assertEqual(self.browser.faults, [])
        for address in self.browser.requests:
            self.assertTrue(address.startswith((self.origin + "/", "data:", "blob:")), address)

    def open(self, path):
        """A page, loaded anew."""
        self.browser.open("about:blank")
        self.browser.open(self.origin + path)

    def ended(self, **submission):
        job = self.server.submit(**submission)
        self.server.wait(job)
        return job

    def rows(self):
        return self.browser.evaluate(
            "[...document.querySelectorAll('main tbody tr')].map((row) => row.innerText)")

    def shown_job(self):
        job = self.browser.until("/^#.jobs.([0-9a-f-]{36})$/.exec(location.hash)?.[1]")
        self.browser.until(STATE)
        return job

    def test_a_job_is_submitted_by_the_form_and_watched_to_its_end(self):
        self.open("/#/functions/nap")
        self.browser.until_text("Sleeps, holding its worker or thread.")
        self.browser.type("[name='arg seconds']", "2.50")
        self.browser.click("button.main")
        job = self.shown_job()
        self.browser.until(STATE + " === 'running'")
        loads = self.browser.evaluate("performance.getEntriesByType('navigation').length")
        self.browser.until(STATE + " === 'succeeded'")
        self.assertEqual(self.browser.text("section pre.json"), "2.5")
        self.assertEqual(self.browser.evaluate(
            "performance.getEntriesByType('navigation').length"), loads)
        # The number went as it was typed.
        sent = self.server.call("GET", "/v1/jobs/%s/submission" % job)[2]
        self.assertEqual(sent, b'{"function":"nap","args":{"seconds":2.50}}')

    def test_a_job_is_submitted_by_the_keyboard_alone(self):
        def go_to(text):
            """Presses Tab until what has the focus says so; it must be seen to have it."""
            for _ in range(60):
                self.browser.press("Tab", 9)
                focus = self.browser.evaluate("""(() => {
                    const element = document.activeElement;
                    if (!element) return [null, false];  // the page is just being shown
                    const style = getComputedStyle(element);
                    return [element.name || element.innerText.trim(),
                            element.matches(":focus-visible") && style.outlineStyle !== "none"
                            && parseFloat(style.outlineWidth) > 0];
                })()""")
                if focus[0] == text:
                    self.assertTrue(focus[1], "%s shows no focus" % text)
                    return
            self.fail("the keyboard does not reach %s" % text)

        self.open("/")
        go_to("Functions")
        self.browser.press("Enter", 13)
        self.browser.until_text("nap")
        go_to("nap")
        self.browser.press("Enter", 13)
        self.browser.until_text("Sleeps, holding its worker or thread.")
        go_to("arg seconds")
        self.browser.call("Input.insertText", text="0.25")
        go_to("Submit")
        self.browser.press("Enter", 13)
        self.shown_job()
        self.browser.until(STATE + " === 'succeeded'")
        self.assertEqual(self.browser.text("section pre.json"), "0.25")

    def test_what_cannot_be_submitted_is_said_at_its_field(self):
        self.open("/#/functions/heavy_task")
        self.browser.type("[name='arg n']", "1.5")
        self.browser.click("button.main")
        self.browser.until_text("This must be a whole number.")
        self.assertEqual(self.browser.evaluate("document.activeElement.name"), "arg n")
        self.browser.type("[name='arg n']", "10")
        self.browser.click(".settings summary")
        self.browser.type("[name='queue']", "no/such")
        self.browser.faults.clear()
        self.browser.click("button.main")
        self.browser.until("document.activeElement.name === 'queue'"
                           " && document.activeElement.ariaInvalid === 'true'")
        # The browser itself logs an answer of 422; it is the only one.
        self.browser.until("true")
        self.assertEqual(len(self.browser.faults), 1, self.browser.faults)
        self.assertIn("422", self.browser.faults.pop())

    def test_a_map_fills_its_grid_and_shows_an_item(self):
        self.open("/#/functions/py_square")
        self.browser.click("[value=map] + span")
        self.browser.type("[name=map]", "3\n12345678901234567890\n\"x\"\n" + "\n".join(map(str, range(97))))
        self.browser.evaluate("document.querySelector('[name=on_error]').value = 'continue'")
        self.browser.click("button.main")
        self.shown_job()
        self.browser.until(STATE + " === 'succeeded'")
        self.browser.until("document.querySelectorAll('.grid .succeeded').length === 99")
        self.browser.until_text("Item 2 TypeError")
        self.browser.click("#item-1")
        self.browser.until_text("152415787532388367501905199875019052100", ".detail")
        self.browser.press("ArrowLeft", 37)
        self.browser.until("document.querySelector('.detail pre')?.innerText === '9'")

    def test_a_long_job_is_cancelled(self):
        job = self.server.submit(function="nap", args=[600])
        self.open("/#/jobs/" + job)
        self.browser.until(STATE + " === 'running'")
        self.browser.click("[data-key=cancel]")
        self.browser.until(STATE + " === 'cancelled'")
        self.assertEqual(self.server.wait(job, 0)["state"], "cancelled")

    def test_a_failed_job_shows_its_traceback_is_run_again_and_forgotten(self):
        job = self.ended(function="fail", args=["<b>of no use</b>"])
        self.open("/#/jobs/" + job)
        self.browser.until_text("ValueError: <b>of no use</b>")
        self.browser.until_text("raise ValueError(message)")
        self.browser.click("[data-key=retry]")
        self.browser.until("[...document.querySelectorAll('.facts div')].some((fact) =>"
                           " fact.innerText === 'Attempt\\n2')")
        self.browser.until(STATE + " === 'failed'")
        self.browser.click("[data-key=delete]")
        self.browser.click("dialog .danger")
        self.browser.until("location.hash === '#/jobs'")
        self.assertEqual(self.server.call("GET", "/v1/jobs/" + job)[0], 404)

    def test_a_copy_is_submitted_with_what_the_first_was_asked(self):
        job = self.ended(function="merge", args=[[{"a": 1}]], queue="copies", tags=["x", "y"])
        self.open("/#/jobs/" + job)
        self.browser.until_text("Submit a copy")
        self.browser.click("a[href*='from=']")
        self.browser.until("document.querySelector('[name=args]')?.value === '[[{\"a\": 1}]]'")
        self.browser.click("button.main")
        copy = self.shown_job()
        self.assertNotEqual(copy, job)
        document = self.server.wait(copy)
        self.assertEqual((document["queue"], document["tags"], document["result"]),
                         ("copies", ["x", "y"], {"a": 1}))

    def test_the_list_is_filtered_paged_and_grows_by_itself(self):
        for number in range(60):
            self.server.submit(function="square", args=[number], queue="listed", tags=["even"][number % 2:])
        self.ended(function="fail", args=["listed"], queue="listed")
        self.open("/#/jobs?queue=listed")
        self.browser.until("document.querySelectorAll('main tbody tr').length === 50")
        self.browser.click(".pager a")
        self.browser.until("document.querySelectorAll('main tbody tr').length === 11")
        self.browser.click(".pager button")
        self.browser.until("document.querySelectorAll('main tbody tr').length === 50")
        self.browser.click(".states a.failed")
        self.browser.until("document.querySelectorAll('main tbody tr').length === 1")
        self.assertIn("ValueError: listed", self.rows()[0])
        self.browser.click(".states a")
        self.browser.type("[name=tag]", "even")
        self.browser.press("Enter", 13)
        self.browser.until("document.querySelectorAll('main tbody tr').length === 30")
        self.server.submit(function="square", args=[1], queue="listed", tags=["even"])
        self.browser.until("document.querySelectorAll('main tbody tr').length === 31")
        self.browser.type("[name=id]", json.loads(self.server.call("GET", "/v1/jobs?limit=1")[2])["jobs"][0]["id"])
        self.browser.press("Enter", 13)
        self.shown_job()

    def test_every_page_is_shown_wide_and_narrow_without_scrolling_sideways(self):
        job = self.ended(function="square", map=list(range(100)), tags=["a-tag"])
        self.addCleanup(self.browser.resize, 1280, 900)
        for width in (1280, 390):
            self.browser.resize(width, 844)
            for path, text in (("/", "Submission to end"), ("/#/jobs", "Submitted"),
                               ("/#/jobs/" + job, "100 of 100 items"), ("/#/functions", "word_count"),
                               ("/#/functions/fetch", "max_bytes"), ("/#/pools", "slots in use"),
                               ("/#/queues", "default"), ("/#/none", "Nothing here")):
                with self.subTest(path=path, width=width):
                    self.open(path)
                    self.browser.until(
                        "document.querySelector('main')?.textContent.includes(%s)" % json.dumps(text))
                    self.assertLessEqual(
                        self.browser.evaluate("document.documentElement.scrollWidth"), width)
                    self.assertEqual(self.browser.evaluate(UNNAMED), [])
        self.open("/docs")
        self.browser.until_text("Submit a job")

    def test_its_files_are_held_by_the_browser_and_by_a_policy(self):
        status, headers, body = self.server.call("GET", "/")
        self.assertEqual(status, 200)
        self.assertIn("default-src 'self'", headers["Content-Security-Policy"])
        self.assertIn("frame-ancestors 'none'", headers["Content-Security-Policy"])
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        again = self.server.call("GET", "/", headers={"If-None-Match": headers["ETag"]})
        self.assertEqual((again[0], again[2]), (304, b""))
        for name in ("main.js", "style.css", "icon.svg"):
            with open("%s/Dashboard/%s" % (ROOT, name), "rb") as file:
                self.assertEqual(self.server.call("GET", "/dashboard/" + name)[2], file.read())
        self.assertEqual(self.server.call("GET", "/dashboard/nothing.js")[0], 404)


class TalkingTests(ServiceTestCase):
    """What functions say of themselves, while they run."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = cls.enterClassContext(Browser())

    def open(self, job):
        self.browser.open("about:blank")
        self.browser.open("http://127.0.0.1:%d/#/jobs/%s" % (self.server.port, job))

    def test_a_log_is_shown_as_it_is_written(self):
        self.open(self.server.submit(function="say_between", args=["<i>first</i>", 3, "last"]))
        self.browser.until_text("<i>first</i>", "pre.log")
        self.assertEqual(self.browser.evaluate(STATE), "running")
        self.browser.until_text("last", "pre.log")
        self.browser.until(STATE + " === 'succeeded'")
        self.assertEqual(self.browser.text("pre.log").rstrip().split("\n"), ["<i>first</i>", "last"])
        self.assertEqual(self.browser.faults, [])

    def test_the_progress_of_a_call_is_a_bar(self):
        self.open(self.server.submit(function="step", args=[50, 0.1]))
        seen = self.browser.until(
            "document.querySelector('[role=progressbar]')?.getAttribute('aria-valuetext')")
        self.assertRegex(seen, r"^\d+ of 50")
        self.browser.until("document.querySelector('[role=progressbar]')?.getAttribute("
                           "'aria-valuetext') > %s" % json.dumps(seen))
        self.browser.until_text("step 4", "section.progress")
        self.browser.until(STATE + " === 'succeeded'")
        self.assertEqual(self.browser.faults, [])


# Controls that a screen reader could not name, and ids that are there twice.
UNNAMED = """[
    ...[...document.querySelectorAll("a, button, input, select, textarea")].filter((each) =>
        each.checkVisibility() && !each.innerText.trim() && !each.ariaLabel
        && !each.labels?.length).map((each) => each.outerHTML),
    ...[...document.querySelectorAll("[id]")].filter((each) =>
        document.querySelectorAll(`[id="${each.id}"]`).length > 1).map((each) => each.id),
]"""


class TokenTests(unittest.TestCase):
    def test_a_server_with_a_token_is_asked_with_it(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("a-long-secret\n")
            file.flush()
            with Server(BINARY, FUNCTIONS, more=["--token-file", file.name]) as server, \
                    Browser() as browser:
                browser.open("http://127.0.0.1:%d/#/queues" % server.port)
                browser.type("#token", "a-wrong-one")
                browser.press("Enter", 13)
                browser.until_text("That was not it.", "dialog")
                browser.type("#token", "a-long-secret")
                browser.press("Enter", 13)
                browser.until_text("No jobs yet.")
                self.assertIsNone(browser.evaluate("document.querySelector('dialog')"))
                self.assertEqual(browser.evaluate("localStorage.length"), 1)  # the colours


class ManyJobsTests(ServiceTestCase):
    """With 100,000 jobs that have ended."""

    functions = FUNCTIONS

    def test_the_list_stays_quick(self):
        for _ in range(10):
            status, _, body = self.server.call(
                "POST", "/v1/jobs/batch", [{"function": "square", "args": [2]}] * 10_000)
            self.assertEqual(status, 202, body[:200])
        self.until(lambda: sum(
            queue.get("succeeded", 0) for queue in self.get("/v1/queues")["queues"]) == 100_000, 120)
        with Browser() as browser:
            browser.open("http://127.0.0.1:%d/#/jobs" % self.server.port)
            browser.until("document.querySelectorAll('main tbody tr').length === 50")
            for selector in (".states a.succeeded", ".pager a", ".states a"):
                with self.subTest(selector=selector):
                    before = browser.evaluate("location.hash")
                    begin = time.monotonic()
                    browser.click(selector)
                    browser.until("location.hash !== %s && !document.querySelector('[aria-busy]')"
                                  % json.dumps(before))
                    # A debug build on a loaded machine; a release answers in some milliseconds.
                    self.assertLess(time.monotonic() - begin, 2)
            self.assertEqual(browser.faults, [])


if __name__ == "__main__":
    unittest.main()

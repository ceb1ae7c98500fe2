"""Parts of a result (RFC 9110, section 14), of one that is sent whole and of one sent in pieces."""

import os
import subprocess
import tempfile
import time
import unittest

from service import Shared

# Section, what the field says, and the part wanted of content of `n` bytes: None is the whole,
# UNSATISFIABLE none of it.
UNSATISFIABLE = object()
CASES = [
    ("14.1.2", "bytes=0-9", lambda n: (0, 10)),
    ("14.1.2", "bytes=0-0", lambda n: (0, 1)),
    ("14.1.2", "bytes=5-", lambda n: (5, n)),
    ("14.1.2", "bytes=-5", lambda n: (n - 5, n)),
    ("14.1.2", "bytes=0-", lambda n: (0, n)),
    ("14.1.2", "bytes=3-99999999999", lambda n: (3, n)),
    ("14.1.2", "bytes=-99999999999", lambda n: (0, n)),
    ("14.1.2", "bytes=7-%s" % ("9" * 40), lambda n: (7, n)),
    ("14.1", "BYTES=1-2", lambda n: (1, 3)),  # the names of units have no case
    ("5.6.1.2", "bytes=,1-2 ,", lambda n: (1, 3)),
    ("15.5.17", "bytes=99999999999-", lambda n: UNSATISFIABLE),
    ("15.5.17", "bytes=%s-" % ("9" * 40), lambda n: UNSATISFIABLE),
    ("14.1.2", "bytes=-0", lambda n: UNSATISFIABLE),
    ("14.2", "lines=1-2", lambda n: None),
    ("14.1.1", "bytes=9-2", lambda n: None),
    ("14.1.1", "bytes=a-b", lambda n: None),
    ("14.1.1", "bytes=", lambda n: None),
    ("14.1.1", "bytes=-", lambda n: None),
    ("14.1.1", "bytes=1", lambda n: None),
    ("14.1.1", "bytes=+1-2", lambda n: None),
    ("14.1.1", "bytes=1 - 2", lambda n: None),
    ("14.1.1", "bytes=1-2;q=1", lambda n: None),
    ("14.1.1", "1-2", lambda n: None),
    # Several parts may be answered by the whole.
    ("14.2", "bytes=0-1,3-4", lambda n: None),
    ("14.2", "bytes=" + "0-," * 500 + "1-", lambda n: None),
]


class RangeTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Shared.get()
        cls.results = {}
        # In its answer at once, in pieces from its row, and a file.
        for text in ["0123456789abcdef" * count for count in (1, 40_000, 100_000)]:
            job = cls.server.finished(function="echo", args=[text])
            cls.results["/v1/jobs/%s/result" % job] = b'"%s"' % text.encode()

    def get(self, path, method="GET", **fields):
        return self.server.call(
            method, path, headers={name.replace("_", "-"): value for name, value in fields.items()})

    def test_each_case_of_the_table(self):
        for path, whole in self.results.items():
            for section, sent, wanted in CASES:
                with self.subTest(section=section, range=sent[:60], size=len(whole)):
                    self.judge(self.get(path, Range=sent), whole, wanted(len(whole)))

    def judge(self, answer, whole, wanted):
        status, fields, body = answer
        self.assertEqual(fields["Content-Length"], str(len(body)))
        if wanted is UNSATISFIABLE:
            self.assertEqual(status, 416)
            self.assertEqual(fields["Content-Range"], "bytes */%d" % len(whole))
            return
        self.assertEqual(fields["Accept-Ranges"], "bytes")  # 14.3
        self.assertRegex(fields["ETag"], r'^"[!#-~]+"$')  # 15.3.7: with a part as with the whole
        if wanted is None:
            self.assertEqual((status, fields["Content-Range"]), (200, None))
            self.assertTrue(body == whole)
        else:
            first, end = wanted
            self.assertEqual(status, 206)
            self.assertEqual(
                fields["Content-Range"], "bytes %d-%d/%d" % (first, end - 1, len(whole)))
            self.assertTrue(body == whole[first:end], "another part")

    def test_conditions(self):  # sections 13.1.1, 13.1.5 and 13.2.2
        for path, whole in self.results.items():
            tag = self.get(path)[1]["ETag"]
            for fields, status in [
                    ({"If_Range": tag}, 206),
                    ({"If_Range": '"other"'}, 200),
                    ({"If_Range": "W/" + tag}, 200),  # 13.1.5: a weak tag names no bytes
                    ({"If_Range": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200),
                    ({"If_None_Match": tag}, 304),
                    ({"If_None_Match": '"other"'}, 206),
                    ({"If_Match": tag}, 206),
                    ({"If_Match": "*"}, 206),
                    ({"If_Match": '"other", ' + tag}, 206),
                    ({"If_Match": '"other"'}, 412),
                    ({"If_Match": "W/" + tag}, 412)]:
                with self.subTest(fields=fields, size=len(whole)):
                    answer = self.get(path, Range="bytes=2-4", **fields)
                    self.assertEqual(answer[0], status)
                    if status in (200, 206):
                        self.assertTrue(answer[2] == (whole if status == 200 else whole[2:5]))

    def test_head_knows_no_range(self):  # section 14.2
        for path, whole in self.results.items():
            status, fields, _ = self.get(path, "HEAD", Range="bytes=0-1")
            self.assertEqual((status, fields["Content-Length"]), (200, str(len(whole))))

    def test_a_part_is_of_the_plain_content(self):  # sections 8.8.3 and 12.5.5
        path, whole = list(self.results.items())[1]
        status, fields, body = self.get(path, Range="bytes=10-19", Accept_Encoding="gzip")
        self.assertEqual((status, fields["Content-Encoding"]), (206, None))
        self.assertEqual(body, whole[10:20])
        self.assertIn("accept-encoding", fields["Vary"].lower())
        # Who holds a part of the compressed content does not get the rest of the plain.
        coded = self.get(path, Accept_Encoding="gzip")[1]
        self.assertEqual(coded["Content-Encoding"], "gzip")
        self.assertTrue(coded["ETag"].startswith("W/"))
        status, _, body = self.get(path, Range="bytes=10-", If_Range=coded["ETag"])
        self.assertEqual((status, len(body)), (200, len(whole)))

    def test_what_has_no_known_length_has_no_parts(self):
        job = self.server.finished(function="echo", map=[1, 2, 3])
        status, fields, body = self.get("/v1/jobs/%s/result" % job, Range="bytes=0-1")
        self.assertEqual((status, fields["Accept-Ranges"], body), (200, None, b"[1,2,3]"))

    def test_a_result_that_was_made_anew_has_another_tag(self):
        job = self.server.finished(function="echo", args=["x" * 100_000])
        path = "/v1/jobs/%s" % job
        first = self.get(path + "/result")[1]["ETag"]
        self.assertEqual(self.server.call("POST", path + "/retry")[0], 202)
        self.get(path + "?wait=30")
        second = self.get(path + "/result")[1]["ETag"]
        self.assertNotEqual(first, second)
        status = self.get(path + "/result", Range="bytes=9-", If_Range=first)[0]
        self.assertEqual(status, 200)

    def test_curl_goes_on_where_it_was_cut_off(self):
        path, whole = list(self.results.items())[1]
        url = "http://127.0.0.1:%d%s" % (self.server.port, path)
        for version in ["--http1.1", "--http2-prior-knowledge"]:
            with self.subTest(version), tempfile.TemporaryDirectory() as folder:
                with open(os.path.join(folder, "result"), "wb") as file:
                    file.write(whole[:123_456])
                subprocess.run(
                    ["curl", "-sS", "--fail", version, "-C", "-", "-o", file.name, url],
                    check=True, timeout=30)
                with open(file.name, "rb") as file:
                    self.assertTrue(file.read() == whole)

    def test_a_result_forgotten_while_it_is_read_is_whole_or_seen_to_be_cut(self):
        # More than kernel and client take of it ahead of time.
        job = self.server.finished(function="echo", args=["x" * (30 << 20)])
        path = "/v1/jobs/%s" % job
        curl = subprocess.Popen(
            ["curl", "-sS", "--limit-rate", "8M", "-o", os.devnull, "-w", "%{size_download}",
             "http://127.0.0.1:%d%s/result" % (self.server.port, path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1)  # at that rate no more than a third has come
        self.assertEqual(self.server.call("DELETE", path)[0], 204)
        size, said = curl.communicate(timeout=60)
        # 18 is "transfer closed with … bytes remaining".
        whole = curl.returncode == 0 and int(size) == (30 << 20) + 2
        self.assertTrue(whole or curl.returncode == 18, (curl.returncode, size, said))


if __name__ == "__main__":
    unittest.main()

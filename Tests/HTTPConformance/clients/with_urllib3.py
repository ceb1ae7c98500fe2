import json
import sys

import urllib3

base = sys.argv[1]
pool = urllib3.PoolManager(timeout=30)
body = json.dumps({"function": "square", "args": [12]}).encode()
answer = pool.request(
    "POST", base + "/v1/jobs", body=iter([body[:9], body[9:]]), chunked=True,
    headers={"Content-Type": "application/json"})
assert answer.status == 202, answer.data
place = base + answer.headers["Location"]
assert pool.request("GET", place + "?wait=20").status == 200
print(json.loads(pool.request("GET", place + "/result").data))

import sys

import requests

base = sys.argv[1]
with requests.Session() as session:
    answer = session.post(base + "/v1/jobs", json={"function": "square", "args": [12]}, timeout=30)
    answer.raise_for_status()
    place = base + answer.headers["Location"]
    session.get(place, params={"wait": 20}, timeout=30).raise_for_status()
    print(session.get(place + "/result", timeout=30).json())

import sys

import httpx

base, version = sys.argv[1:3]
with httpx.Client(http1=version == "1", http2=version == "2", timeout=30) as client:
    answer = client.post(base + "/v1/jobs", json={"function": "square", "args": [12]})
    assert answer.status_code == 202, answer.text
    assert answer.http_version == {"1": "HTTP/1.1", "2": "HTTP/2"}[version]
    place = base + answer.headers["Location"]
    assert client.get(place, params={"wait": 20}).status_code == 200
    print(client.get(place + "/result").json())

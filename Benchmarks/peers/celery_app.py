"""Celery with Redis as broker and store of results."""
import os

from celery import Celery

import tasks

url = os.environ["BENCH_REDIS"]
app = Celery("bench", broker=url, backend=url)
square = app.task(tasks.square, name="square")
burn = app.task(tasks.burn, name="burn")

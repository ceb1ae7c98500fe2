"""The smallest home-made one: FastAPI, a ProcessPoolExecutor and a dict; nothing survives it."""
import uuid
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

import tasks

jobs = {}
pool = None


@asynccontextmanager
async def life(app):
    global pool
    pool = ProcessPoolExecutor(2)
    yield
    pool.shutdown(wait=False, cancel_futures=True)

app = FastAPI(lifespan=life)


class Job(BaseModel):
    task: str
    args: list = []


@app.post("/jobs", status_code=202)
async def submit(job: Job):
    task = getattr(tasks, job.task, None)
    if task is None:
        raise HTTPException(404, "no such task")
    key = str(uuid.uuid4())
    jobs[key] = pool.submit(task, *job.args)
    return {"id": key}


@app.get("/jobs/{job_id}")
async def status(job_id: str):
    job = jobs.get(job_id)
    if job is None:
        raise HTTPException(404, "no such job")
    if not job.done():
        return {"id": job_id, "status": "PENDING", "result": None}
    if job.exception():
        return {"id": job_id, "status": "FAILURE", "result": None}
    return {"id": job_id, "status": "SUCCESS", "result": job.result()}

"""The home-made HTTP job service: FastAPI in front of Celery and Redis."""
from celery.result import AsyncResult
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

import celery_app

app = FastAPI()


class Job(BaseModel):
    task: str
    args: list = []


@app.post("/jobs", status_code=202)
def submit(job: Job):
    task = celery_app.app.tasks.get(job.task)
    if task is None:
        raise HTTPException(404, "no such task")
    return {"id": task.delay(*job.args).id}


@app.get("/jobs/{job_id}")
def status(job_id: str):
    result = AsyncResult(job_id, app=celery_app.app)
    state = result.state
    return {"id": job_id, "status": state, "result": result.result if state == "SUCCESS" else None}

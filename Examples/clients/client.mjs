// Martlet with the fetch of Node 18 and later, or of a browser: a job, a map whose results come while it runs, a refusal.
const base = process.env.MARTLET_URL ?? "http://127.0.0.1:8080";
const token = process.env.MARTLET_TOKEN;

class Problem extends Error {
    constructor(problem) {
        super(`${problem.status} ${problem.detail}`);
        Object.assign(this, problem);
    }
}

async function ask(path, { headers, ...options } = {}) {
    const answer = await fetch(base + path, {
        signal: AbortSignal.timeout(60_000),
        headers: { ...(token && { Authorization: `Bearer ${token}` }), ...headers },
        ...options,
    });
    if (!answer.ok) throw new Problem(await answer.json());
    return answer;
}

async function submit(job) {
    const answer = await ask("/v1/jobs", {
        method: "POST",
        // The key makes a repeat after a lost answer the same job.
        headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
        body: JSON.stringify(job),
    });
    return (await answer.json()).id;
}

async function result(id) {
    return (await ask(`/v1/jobs/${id}/result?wait=30`)).json();
}

async function* items(id) {
    const answer = await ask(`/v1/jobs/${id}/items?wait=30`);
    let rest = "";
    for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + text).split("\n");
        rest = lines.pop();
        for (const line of lines) yield JSON.parse(line);
    }
}

console.log(`square(12) = ${await result(await submit({ function: "square", args: [12] }))}`);

for await (const item of items(await submit({ function: "square", map: [1, 2, 3, 4, 5] }))) {
    console.log(JSON.stringify(item));
}

try {
    await submit({ function: "squere", args: [12] });
} catch (problem) {
    console.log(problem.message);
}

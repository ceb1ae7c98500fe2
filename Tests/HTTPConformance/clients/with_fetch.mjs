const base = process.argv[2];

async function ask(path, options) {
    const answer = await fetch(base + path, { signal: AbortSignal.timeout(30_000), ...options });
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    return answer;
}

const posted = await ask("/v1/jobs", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ function: "square", args: [12] }),
});
const place = posted.headers.get("Location");
await posted.arrayBuffer();
await (await ask(`${place}?wait=20`)).arrayBuffer();
console.log(await (await ask(`${place}/result`)).json());

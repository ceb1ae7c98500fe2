// The page's life: finds the page of the address, shows it, and keeps the bar on top.

import { setUp } from "./api.js";
import { h, show } from "./dom.js";
import { tick } from "./format.js";
import { functionPage } from "./functions.js";
import { watch } from "./history.js";
import { jobPage } from "./job.js";
import { jobsPage } from "./jobs.js";
import { onConnection, tellReachable } from "./live.js";
import { overviewPage } from "./overview.js";
import { askForToken, empty, failure } from "./parts.js";
import { poolsPage } from "./pools.js";
import { queuesPage } from "./queues.js";

const PAGES = [
    [/^\/$/, "Overview", overviewPage],
    [/^\/jobs$/, "Jobs", jobsPage],
    [/^\/jobs\/([^/]+)$/, "Job", jobPage],
    [/^\/functions(?:\/([^/]+))?$/, "Functions", functionPage],
    [/^\/pools$/, "Pools", poolsPage],
    [/^\/queues$/, "Queues", queuesPage],
];

const main = document.getElementById("main");
let leave = new AbortController();
let shown = null;

/** Shows the page of the address; one that is left stops what it does. */
function go() {
    const [path, search = ""] = (location.hash.slice(1) || "/").split("?");
    leave.abort();
    leave = new AbortController();
    const found = PAGES.find(([pattern]) => pattern.test(path));
    const [pattern, title, page] = found ?? [/()/, "Nothing here", nothing];
    mark(path);
    document.title = `${title} · Martlet`;
    // Another page begins anew; the same one with another filter keeps what it can.
    const isSame = shown === path;
    main.setAttribute("aria-busy", "true");
    if (!isSame) {
        main.replaceChildren();
        scrollTo(0, 0);
    }
    const view = {
        root: main,
        signal: leave.signal,
        parameters: new URLSearchParams(search),
        place: pattern.exec(path)?.[1] && decodeURIComponent(pattern.exec(path)[1]),
        setTitle(text) { document.title = `${text} · Martlet`; },
        fail(problem) { show(main, h("h1", null, title), failure(problem)); },
    };
    // Those who hear the page are told of it; at the start nothing is taken from the reader.
    if (shown !== null && !isSame) main.focus({ preventScroll: true });
    shown = path;
    page(view);
}

function nothing(view) {
    show(view.root, h("h1", null, "Nothing here"), empty("There is no such page. ",
        h("a", { href: "#/" }, "Overview")));
}

function mark(path) {
    for (const link of document.querySelectorAll("nav a")) {
        const target = link.hash.slice(1);
        const isHere = target === "/" ? path === "/" : path.startsWith(target);
        if (isHere) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
    }
}

// Light, dark, or as the system has it.
const THEMES = { auto: "Auto", light: "Light", dark: "Dark" };

function setTheme(name) {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    const button = document.getElementById("theme");
    button.textContent = `◐ ${THEMES[name]}`;
    button.setAttribute("aria-label", `Colours: ${THEMES[name]}`);
    localStorage.setItem("martlet-theme", name);
}

document.getElementById("theme").addEventListener("click", () => {
    const names = Object.keys(THEMES);
    const now = localStorage.getItem("martlet-theme") ?? "auto";
    setTheme(names[(names.indexOf(now) + 1) % names.length]);
});
setTheme(localStorage.getItem("martlet-theme") in THEMES ? localStorage.getItem("martlet-theme") : "auto");

const WORDS = { live: "Live", polling: "Every 2 s", offline: "Not reached" };
onConnection((state) => {
    const place = document.getElementById("connection");
    place.className = state;
    place.textContent = WORDS[state];
});

setUp({ askForToken, tellReachable });
addEventListener("hashchange", go);
setInterval(tick, 1_000);
go();
watch();

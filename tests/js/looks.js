// A page that hands over how states and events look; import it before anything of static/js.

import { readFileSync } from "node:fs";

const textContent = readFileSync(new URL("./looks.json", import.meta.url), "utf8");
const getElementById = (/** @type {string} */ id) => (id === "looks" ? { textContent } : null);
Object.assign(globalThis, { document: { documentElement: { lang: "en" }, getElementById } });

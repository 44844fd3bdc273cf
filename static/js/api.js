// Small fetch helper: JSON in and out, CSRF, and errors that carry what the server said.

import { parse, stringify } from "./exact.js";
import { gettext, together } from "./language.js";

export class ApiError extends Error {
  /**
   * @param {number} status 0: the server was not reached
   * @param {Problem[]} errors
   * @param {any} body
   */
  constructor(status, errors, body) {
    super(
      together(errors.map((e) => e.message)) ||
        gettext("The server answered {status}.", { status }),
    );
    this.status = status;
    this.errors = errors;
    this.body = body;
  }
}

/**
 * Any caught error as words for a person.
 * @param {unknown} error
 */
export const wordsOf = (error) => (error instanceof Error ? error.message : String(error));

/** @param {string} message */
const only = (message) => [{ path: "", message, hint: "" }];

const signedOut = () => only(gettext("You are signed out. Reload the page."));

function csrfToken() {
  const tag = document.querySelector('meta[name="csrf-token"]');
  return tag instanceof HTMLMetaElement ? tag.content : "";
}

/**
 * @param {any} body
 * @param {number} status
 * @returns {Problem[]}
 */
function errorsOf(body, status) {
  if (status === 401) return signedOut();
  if (Array.isArray(body?.errors)) return body.errors;
  if (typeof body?.detail === "string") return only(body.detail);
  if (status === 403) {
    return only(gettext("You are signed out, or the page is too old. Reload it and try again."));
  }
  return only(gettext("The server answered {status}.", { status }));
}

/**
 * Send a request and return the parsed JSON (null where there is none). Throws ApiError.
 * @param {string} method
 * @param {string} url
 * @param {unknown} [data] sent as JSON; a form's data, with its files, as it is
 * @param {{ signal?: AbortSignal, text?: string }} [options] text: YAML to send instead
 * @returns {Promise<any>}
 */
export async function api(method, url, data, { signal, text } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  let body;
  if (text !== undefined) {
    headers["Content-Type"] = "application/yaml";
    body = text;
  } else if (data instanceof FormData) {
    body = data; // the browser names the type, with its boundary
  } else if (data !== undefined) {
    headers["Content-Type"] = "application/json";
    body = stringify(data);
  }
  let response;
  try {
    response = await fetch(url, { method, headers, body, signal, credentials: "same-origin" });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(0, only(gettext("The server cannot be reached.")), null);
  }
  const answer = await response.text();
  let parsed = null;
  try {
    parsed = answer ? parse(answer) : null;
  } catch {
    parsed = null;
  }
  if (response.redirected && parsed === null) {
    throw new ApiError(401, signedOut(), null);
  }
  if (!response.ok) throw new ApiError(response.status, errorsOf(parsed, response.status), parsed);
  return parsed;
}

/**
 * Whether a request was given up because another one took its place.
 * @param {unknown} error
 */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";

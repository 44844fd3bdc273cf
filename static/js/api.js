// Small fetch helper: JSON in and out, CSRF, and errors that carry what the server said.

export class ApiError extends Error {
  constructor(status, errors, body) {
    super(errors.map((e) => e.message).join(" ") || `The server answered ${status}.`);
    this.status = status;
    this.errors = errors; // [{path, message, hint, line?}]
    this.body = body;
  }
}

function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}

function errorsOf(body, status) {
  if (Array.isArray(body?.errors)) return body.errors;
  if (typeof body?.detail === "string") return [{ path: "", message: body.detail, hint: "" }];
  if (status === 403) {
    const message = "You are signed out, or the page is too old. Reload it and try again.";
    return [{ path: "", message, hint: "" }];
  }
  return [{ path: "", message: `The server answered ${status}.`, hint: "" }];
}

/** Send a request and return the parsed JSON (null where there is none). Throws ApiError. */
export async function api(method, url, data, { signal, text } = {}) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  let body;
  if (text !== undefined) {
    headers["Content-Type"] = "application/yaml";
    body = text;
  } else if (data !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(data);
  }
  let response;
  try {
    response = await fetch(url, { method, headers, body, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, [{ path: "", message: "The server cannot be reached.", hint: "" }], null);
  }
  const answer = await response.text();
  let parsed = null;
  try {
    parsed = answer ? JSON.parse(answer) : null;
  } catch {
    parsed = null;
  }
  if (response.redirected && parsed === null) {
    throw new ApiError(
      401,
      [{ path: "", message: "You are signed out. Reload the page.", hint: "" }],
      null,
    );
  }
  if (!response.ok) throw new ApiError(response.status, errorsOf(parsed, response.status), parsed);
  return parsed;
}

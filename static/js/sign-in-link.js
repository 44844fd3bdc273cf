// Sends the form of the one-time link at once; a GET alone must not spend it (prefetchers would).

const form = document.querySelector("form[data-auto-submit]");
const isPrerendering = "prerendering" in document && document.prerendering === true;
if (form instanceof HTMLFormElement && !isPrerendering) form.requestSubmit();

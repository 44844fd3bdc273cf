// Sends the form of the one-time link at once; a GET alone must not spend it (prefetchers would).

const form = document.querySelector("form[data-auto-submit]");
if (form && !document.prerendering) form.requestSubmit();

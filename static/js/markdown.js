// Notes in Markdown as the server makes them safe HTML; nothing else is ever parsed as markup.

import { api } from "./api.js";

const URL_OF_SERVER = "/api/v1/markdown/";

/** An element that shows notes: those that came with the page, then each newer text. */
export class RenderedNotes {
  /**
   * @param {HTMLElement} element has the first text's HTML already
   * @param {string} text
   */
  constructor(element, text = "") {
    this.element = element;
    this.text = text;
  }

  /** @param {string} text */
  async show(text) {
    if (text === this.text) return;
    this.text = text;
    this.element.hidden = !text.trim();
    this.element.textContent = text; // until it is rendered, and where it cannot be
    const { html } = await api("POST", URL_OF_SERVER, { text });
    if (this.text !== text) return; // there is a newer one
    const parsed = new DOMParser().parseFromString(html, "text/html");
    this.element.replaceChildren(...parsed.body.childNodes);
  }
}

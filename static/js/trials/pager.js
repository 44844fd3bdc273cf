// Below the table of trials: which of them are shown, how many on a page, and how to get to others.

import { byId, find, hit } from "../dom.js";
import { gettext } from "../language.js";

export class Pager {
  /**
   * @param {{
   *   query: import("./query.js").Query, onPage: () => void, onJump: (trial: number) => void,
   * }} settings query: its page and size are changed; onJump: to the page that a trial is on
   */
  constructor({ query, onPage, onJump }) {
    this.query = query;
    this.onPage = onPage;
    this.onJump = onJump;
    this.pages = 1;
    this.box = byId("pager");
    this.size = byId("page-size", HTMLSelectElement);
    this.go = byId("go-to", HTMLInputElement);
    this.size.value = String(query.size);
    this.listen();
  }

  listen() {
    this.box.addEventListener("click", (event) => {
      const button = hit(event, "[data-page]");
      if (button) this.turn(button.dataset.page === "next" ? 1 : -1);
    });
    this.size.addEventListener("change", () => {
      const first = (this.query.page - 1) * this.query.size;
      this.query.size = Number(this.size.value);
      this.query.page = Math.floor(first / this.query.size) + 1; // what was first stays in sight
      this.onPage();
    });
    byId("go-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.goTo(this.go.value.trim());
    });
    this.go.addEventListener("input", () => this.problem(""));
  }

  /** @param {number} pages forwards, or back */
  turn(pages) {
    const page = this.query.page + pages;
    if (page < 1 || page > this.pages) return;
    this.query.page = page;
    this.onPage();
  }

  /**
   * "7" is a page, "#7" a trial.
   * @param {string} text
   */
  goTo(text) {
    const found = /^(#?)\s*(\d{1,9})$/.exec(text);
    if (!found) {
      if (text) this.problem(gettext("Enter a page, such as 7, or a trial, such as #123."));
      return;
    }
    const number = Number(found[2]);
    if (!found[1] && (number < 1 || number > this.pages)) {
      this.problem(
        gettext("There are {n} pages; a trial is written as #{number}.", { n: this.pages, number }),
      );
      return;
    }
    this.go.value = "";
    if (found[1]) {
      this.onJump(number);
    } else {
      this.query.page = number;
      this.onPage();
    }
  }

  /** @param {string} words */
  problem(words) {
    const box = byId("go-error");
    box.hidden = !words;
    box.textContent = words;
    this.go.classList.toggle("is-invalid", Boolean(words));
  }

  /**
   * @param {number} count of all trials that fit
   * @param {number} n on this page
   */
  draw(count, n) {
    const { page, size } = this.query;
    this.pages = Math.max(1, Math.ceil(count / size));
    this.box.hidden = count === 0;
    const from = (page - 1) * size + 1;
    const to = Math.min(count, from + n - 1);
    byId("pager-text").textContent = gettext("{from}–{to} of {n}", { from, to, n: count });
    byId("pager-pages").textContent = gettext("page {page} of {pages}", {
      page,
      pages: this.pages,
    });
    find(this.box, '[data-page="previous"]', HTMLButtonElement).disabled = page <= 1;
    find(this.box, '[data-page="next"]', HTMLButtonElement).disabled = page >= this.pages;
    find(this.box, ".pager-buttons").hidden = this.pages <= 1;
    byId("go-form").hidden = this.pages <= 1;
  }
}

// Views of the page that have names: what the address holds, kept with the experiment.

import { ApiError, api, wordsOf } from "../api.js";
import { byId, confirmAction, find, h, hit, icon, toast } from "../dom.js";
import { gettext } from "../language.js";

export class SavedViews {
  /** @param {{ url: string, views: SavedView[], mayChange: boolean }} settings url: of REST */
  constructor({ url, views, mayChange }) {
    this.url = url;
    this.views = views;
    this.mayChange = mayChange;
    this.list = byId("views-list");
    this.dialog = byId("view-dialog", HTMLDialogElement);
    this.form = byId("view-form", HTMLFormElement);
    this.name = byId("view-name", HTMLInputElement);
    this.error = byId("view-error");
    /** @type {SavedView | null} the one that is renamed; null: a new one is saved */
    this.renamed = null;
    this.listen();
    this.draw();
  }

  listen() {
    const save = byId("view-save", HTMLButtonElement);
    save.hidden = !this.mayChange;
    save.addEventListener("click", () => this.open(null));
    find(this.dialog, "[data-close]").addEventListener("click", () => this.dialog.close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.list.addEventListener("click", (event) => {
      const button = hit(event, "[data-view-action]");
      const view = this.views.find(({ id }) => String(id) === button?.dataset.id);
      if (!view) return;
      if (button?.dataset.viewAction === "rename") this.open(view);
      else this.remove(view);
    });
  }

  /** @param {SavedView | null} view */
  open(view) {
    this.renamed = view;
    const title = view ? gettext("Rename the view") : gettext("Save this view");
    find(this.dialog, "[data-title]").textContent = title;
    this.name.value = view?.name ?? "";
    this.say("");
    this.dialog.showModal();
    this.name.select();
  }

  /** @param {string} words */
  say(words) {
    this.error.hidden = !words;
    this.error.textContent = words;
    this.name.classList.toggle("is-invalid", Boolean(words));
  }

  async send() {
    const name = this.name.value;
    const { renamed } = this;
    try {
      if (renamed) {
        const fresh = await api("PATCH", `${this.url}${renamed.id}/`, { name });
        this.views = this.views.map((view) => (view.id === fresh.id ? fresh : view));
      } else {
        const query = location.search.slice(1);
        this.views.push(await api("POST", this.url, { name, query }));
        toast(gettext("Saved. Everybody who sees the experiment finds it under Views."), "success");
      }
      this.dialog.close();
      this.draw();
    } catch (error) {
      const problem = error instanceof ApiError ? error.errors[0] : null;
      this.say(problem ? problem.message : wordsOf(error));
    }
  }

  /** @param {SavedView} view */
  async remove(view) {
    const agreed = await confirmAction({
      title: gettext("Delete the view “{name}”?", { name: view.name }),
      text: gettext(
        "The trials stay as they are; only the name for this way to look at them goes.",
      ),
      action: gettext("Delete"),
      danger: true,
    });
    if (!agreed) return;
    try {
      await api("DELETE", `${this.url}${view.id}/`);
      this.views = this.views.filter(({ id }) => id !== view.id);
      this.draw();
    } catch (error) {
      toast(wordsOf(error), "danger");
    }
  }

  draw() {
    this.views.sort((a, b) => a.name.localeCompare(b.name));
    if (!this.views.length) {
      const words = gettext("None yet: filter, sort, choose charts and columns, then save it.");
      this.list.replaceChildren(h("li", { class: "views-none muted small" }, words));
      return;
    }
    this.list.replaceChildren(...this.views.map((view) => this.row(view)));
  }

  /** @param {SavedView} view */
  row(view) {
    const href = `${location.pathname}${view.query ? `?${view.query}` : ""}`;
    const link = h(
      "a",
      { class: "dropdown-item", href },
      h("span", { class: "truncate" }, view.name),
    );
    /**
     * @param {string} name
     * @param {string} sign
     * @param {string} words
     * @param {Record<string, string>} dataset
     */
    const button = (name, sign, words, dataset = { viewAction: name, id: String(view.id) }) => {
      const props = { type: "button", class: "btn btn-icon btn-icon-s", title: words, dataset };
      return h("button", { ...props, "aria-label": `${words}: ${view.name}` }, icon(sign));
    };
    const copied = gettext("The link is copied: whoever opens it sees the same.");
    return h(
      "li",
      { class: "views-row" },
      link,
      button("copy", "link", gettext("Copy the link"), {
        copy: new URL(href, location.href).href,
        copied,
      }),
      this.mayChange && button("rename", "edit", gettext("Rename")),
      this.mayChange && button("delete", "trash", gettext("Delete")),
    );
  }
}

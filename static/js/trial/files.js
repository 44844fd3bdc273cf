// Files that the trial attached: pictures in a gallery, others in a list.

import { api, wordsOf } from "../api.js";
import { byId, confirmAction, h, icon, toast } from "../dom.js";
import { ago, bytes } from "../format.js";
import { gettext } from "../language.js";
import { steadily } from "../steadily.js";

const EVERY_MS = 1000; // at most so often while files come in

/** @param {HappenedEvent} event */
export const isOfFiles = ({ what }) => what === "attached" || what === "detached";

export class Files {
  /**
   * @param {string} url of the list in REST
   * @param {{ mayChange: boolean, files: Artifact[] }} page
   */
  constructor(url, { mayChange, files }) {
    this.url = url;
    this.mayChange = mayChange;
    this.soon = steadily(() => this.load(), EVERY_MS, { atOnce: true });
    this.draw(files);
  }

  async load() {
    this.draw(await api("GET", this.url));
  }

  /** @param {Artifact[]} files */
  draw(files) {
    byId("files").hidden = files.length === 0;
    byId("files-size").textContent = bytes(files.reduce((sum, file) => sum + file.size, 0));
    const images = files.filter((file) => file.image_type);
    const others = files.filter((file) => !file.image_type);
    byId("files-images").replaceChildren(...images.map((file) => this.image(file)));
    byId("files-list").replaceChildren(...others.map((file) => this.row(file)));
  }

  /** @param {Artifact} file */
  image(file) {
    const src = `${this.url}${file.id}/`;
    return h(
      "figure",
      { class: "file-image", "data-testid": "file" },
      h(
        "a",
        { href: src, target: "_blank", rel: "noopener" },
        h("img", { src, alt: file.name, loading: "lazy", decoding: "async" }),
      ),
      h(
        "figcaption",
        {},
        h("span", { class: "truncate", title: file.name }, file.name),
        h("span", { class: "muted tiny num nowrap" }, bytes(file.size)),
        this.actions(file),
      ),
    );
  }

  /** @param {Artifact} file */
  row(file) {
    return h(
      "li",
      { "data-testid": "file" },
      icon("file"),
      h("a", { class: "truncate", href: `${this.url}${file.id}/`, download: file.name }, file.name),
      h("span", { class: "muted tiny num nowrap" }, bytes(file.size)),
      h("span", { class: "muted tiny nowrap" }, ago(file.created_at)),
      this.actions(file),
    );
  }

  /** @param {Artifact} file */
  actions(file) {
    const name = file.name;
    return h(
      "span",
      { class: "file-actions" },
      h(
        "a",
        {
          class: "btn btn-icon btn-icon-s",
          href: `${this.url}${file.id}/?download=1`,
          download: name,
          title: gettext("Download"),
          "aria-label": gettext("Download {name}", { name }),
        },
        icon("download"),
      ),
      this.mayChange &&
        h(
          "button",
          {
            type: "button",
            class: "btn btn-icon btn-icon-s danger",
            title: gettext("Delete"),
            "aria-label": gettext("Delete {name}", { name }),
            onclick: () => this.remove(file),
          },
          icon("trash"),
        ),
    );
  }

  /** @param {Artifact} file */
  async remove(file) {
    const isSure = await confirmAction({
      title: gettext("Delete this file?"),
      text: file.name,
      action: gettext("Delete"),
      danger: true,
    });
    if (!isSure) return;
    try {
      await api("DELETE", `${this.url}${file.id}/`);
      await this.load();
    } catch (error) {
      toast(wordsOf(error), "danger");
    }
  }
}

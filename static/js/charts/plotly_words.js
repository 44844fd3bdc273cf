// Plotly's own words and dates in the reader's language: its buttons, and what stands at the ends
// of an axis of time. Part of the configuration of each plot.

import { gettext } from "../language.js";

// Only what of a date is written as Plotly writes it; numbers are alike in both languages.
const CHINESE_DATES = {
  year: "%Y年",
  month: "%Y年%-m月",
  dayMonth: "%-m月%-d日",
  dayMonthYear: "%Y年%-m月%-d日",
};

/** For `Plotly.react`'s configuration. */
export function plotlyWords() {
  const isChinese = globalThis.document?.documentElement.lang.startsWith("zh");
  return {
    locale: "page",
    locales: {
      page: {
        dictionary: {
          "Download plot as a PNG": gettext("Save as a picture (PNG)"),
          "Download plot": gettext("Save as a picture (PNG)"),
          Zoom: gettext("Zoom"),
          Pan: gettext("Move"),
          "Zoom in": gettext("Zoom in"),
          "Zoom out": gettext("Zoom out"),
          "Reset axes": gettext("Reset the axes"),
          Autoscale: gettext("Reset the axes"),
        },
        format: isChinese ? CHINESE_DATES : {},
      },
    },
  };
}

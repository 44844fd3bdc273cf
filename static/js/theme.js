// Sets the colour theme before the first paint; a classic script in <head>, so there is no flash.
// The choice is "light", "dark" or (nothing stored) the system's.
(() => {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const choice = () => {
    try {
      const stored = localStorage.getItem("autotune-theme");
      return stored === "light" || stored === "dark" ? stored : "system";
    } catch {
      return "system"; // storage refused: follow the system
    }
  };
  const apply = () => {
    const chosen = choice();
    const theme = chosen === "system" ? (system.matches ? "dark" : "light") : chosen;
    root.dataset.themeChoice = chosen;
    if (root.dataset.bsTheme === theme) return;
    root.dataset.bsTheme = theme;
    root.dispatchEvent(new CustomEvent("autotune:theme", { detail: theme, bubbles: true }));
  };
  window.autotuneTheme = {
    set(chosen) {
      try {
        if (chosen === "system") localStorage.removeItem("autotune-theme");
        else localStorage.setItem("autotune-theme", chosen);
      } catch {
        // the page keeps its theme; only the memory of it is lost
      }
      apply();
    },
  };
  system.addEventListener("change", apply);
  window.addEventListener("storage", apply); // another tab switched
  apply();
})();

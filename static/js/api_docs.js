// Swagger UI follows the page's theme; a classic script in <head>, so there is no flash.
(() => {
  const root = document.documentElement;
  const follow = () => root.classList.toggle("dark-mode", root.dataset.bsTheme === "dark");
  root.addEventListener("autotune:theme", follow);
  follow();
})();

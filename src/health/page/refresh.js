"use strict";
// Every ten seconds while somebody looks, the main part is replaced by that of a fresh page.
(() => {
  const away = document.getElementById("away");
  const refresh = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { signal: AbortSignal.timeout(8000) });
      if (!answer.ok) throw new Error(answer.status);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = document.querySelector("main");
      // Whoever is reading along in the table with the keyboard is left alone.
      if (!main.contains(document.activeElement)) main.replaceWith(fresh.querySelector("main"));
      document.title = fresh.title;
      away.hidden = true;
    } catch {
      away.hidden = false;
    }
  };
  setInterval(refresh, 10000);
  document.addEventListener("visibilitychange", refresh);
})();

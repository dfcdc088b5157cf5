// What the theme leaves undone for keyboards, screen readers and pages opened from a folder.
(function () {
  // From a folder a page may not fetch others: show search results without their summaries.
  if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
    DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  }

  function nameRegions() {
    const sidebar = document.querySelector(".bd-sidebar-primary");
    sidebar?.setAttribute("role", "region");
    sidebar?.setAttribute("aria-label", "Book");
    // docutils gives bibliographies ARIA roles that browsers no longer accept.
    for (const entry of document.querySelectorAll("[role=doc-biblioentry]")) {
      entry.setAttribute("role", "listitem");
    }
  }

  // Browsers break a line between a formula and the punctuation after it.
  function keepPunctuation() {
    for (const formula of document.querySelectorAll(".bd-content span.math")) {
      const mark = /^[.,;:!?)\]’”]+/.exec(formula.nextSibling?.nodeType === Node.TEXT_NODE ? formula.nextSibling.data : "");
      if (!mark) continue;
      const kept = document.createElement("span");
      kept.className = "gan-keep";
      formula.nextSibling.data = formula.nextSibling.data.slice(mark[0].length);
      formula.replaceWith(kept);
      kept.append(formula, mark[0]);
    }
  }

  // Figures wider than a page of print shrink on a phone until their letters are dust: let them scroll.
  function markWideFigures() {
    for (const image of document.querySelectorAll(".bd-content .cell_output img")) {
      if (image.naturalWidth <= 640 || image.closest(".gan-film")) continue;
      const box = document.createElement("div");
      box.className = "gan-wide";
      image.replaceWith(box);
      box.append(image);
    }
  }

  // Boxes that scroll sideways must be reachable by keyboard (WCAG 2.1.1). Only after loading, and
  // after MathJax, can the browser tell which boxes those are.
  const boxes = "div.math, mjx-container, table, div.highlight pre, .cell_output .output, .gan-wide";
  function markScrollable() {
    for (const box of document.querySelectorAll(`.bd-content :is(${boxes})`)) {
      if (box.tabIndex < 0 && (box.scrollWidth > box.clientWidth + 1 || box.tagName === "PRE")) box.tabIndex = 0;
    }
  }

  window.addEventListener("DOMContentLoaded", nameRegions);
  window.addEventListener("DOMContentLoaded", keepPunctuation);
  window.addEventListener("load", () => {
    markWideFigures();
    markScrollable();
    new MutationObserver(markScrollable).observe(document.body, { subtree: true, attributeFilter: ["tabindex"] });
    window.MathJax?.startup?.promise?.then(markScrollable);
    window.addEventListener("resize", markScrollable);
  });
})();

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

  // Boxes that scroll sideways must be reachable by keyboard (WCAG 2.1.1). Only after loading, and
  // after MathJax, can the browser tell which boxes those are.
  const boxes = "div.math, mjx-container, table, div.highlight pre, .cell_output .output";
  function markScrollable() {
    for (const box of document.querySelectorAll(`.bd-content :is(${boxes})`)) {
      if (box.tabIndex < 0 && (box.scrollWidth > box.clientWidth + 1 || box.tagName === "PRE")) box.tabIndex = 0;
    }
  }

  window.addEventListener("DOMContentLoaded", nameRegions);
  window.addEventListener("load", () => {
    markScrollable();
    new MutationObserver(markScrollable).observe(document.body, { subtree: true, attributeFilter: ["tabindex"] });
    window.MathJax?.startup?.promise?.then(markScrollable);
    window.addEventListener("resize", markScrollable);
  });
})();

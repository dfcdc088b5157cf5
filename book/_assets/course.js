// Boxes that scroll sideways must be reachable by keyboard (WCAG 2.1.1): the browser can only tell
// once fonts and formulas are in place, so look after loading and after MathJax.
(function () {
  const boxes = "div.math, mjx-container, table, div.highlight pre, .cell_output .output";
  function mark() {
    for (const box of document.querySelectorAll(`.bd-content :is(${boxes})`)) {
      if (box.scrollWidth > box.clientWidth + 1 && !box.hasAttribute("tabindex")) box.tabIndex = 0;
    }
  }
  window.addEventListener("load", () => {
    mark();
    window.MathJax?.startup?.promise?.then(mark);
    window.addEventListener("resize", mark);
  });
})();

// What is wider than the screen scrolls by itself; then the keyboard must reach it. What fits takes no stop of the Tab key.
const SCROLLERS = ".scroller, pre, .cell_output .output";

function mark() {
  for (const element of document.querySelectorAll(SCROLLERS)) {
    const wide = element.scrollWidth > element.clientWidth;
    element.classList.toggle("wide", wide);
    if (wide || element.scrollHeight > element.clientHeight) {
      element.tabIndex = 0;
    } else {
      element.removeAttribute("tabindex");
    }
  }
}

window.addEventListener("load", mark);
window.addEventListener("resize", mark);

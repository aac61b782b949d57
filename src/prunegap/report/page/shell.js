"use strict";
// What every page needs: nodes from text, colours, code that can be copied.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function make(tag, words, attributes = {}) {
  const node = document.createElement(tag);
  if (words !== undefined) node.textContent = words;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// Colours: the system decides until the reader does.
function colours() {
  const theme = document.querySelector(".theme");
  theme.hidden = false;
  let kept = "";
  try { kept = localStorage.getItem("prunegap-theme") || ""; } catch { /* a page may be denied storage */ }
  const apply = (name) => { document.documentElement.dataset.theme = name; };
  for (const box of all("input", theme)) {
    box.checked = box.value === kept;
    box.addEventListener("change", () => {
      apply(box.value);
      try { localStorage.setItem("prunegap-theme", box.value); } catch { /* as above */ }
    });
  }
  apply(kept);
}

function copying() {
  for (const button of all(".copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentNode.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
}

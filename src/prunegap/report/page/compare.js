// Without this script every point's layers are listed; with it, one at a time.
function layers() {
  const chooser = document.getElementById("point-chooser");
  if (!chooser) return;
  const select = chooser.querySelector("select");
  const show = () => {
    for (const part of all(".layers")) part.hidden = part.id !== select.value;
  };
  chooser.hidden = false;
  select.addEventListener("change", show);
  show();
}

colours();
layers();
copying();

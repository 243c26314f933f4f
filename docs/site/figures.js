// Draws the Plotly figures of a page, each kept as JSON beside its place, when they come near the window.
(() => {
  const folder = document.currentScript.src.replace(/[^/]*$/, "");
  const NARROWEST = 0.6; // of a figure's own width; below, it scrolls
  const GREYS = /"#(757575|808890)"/g; // of the figures' texts, which Jupyter shows on light and dark pages alike

  // The layout with its texts in the colour of the page's text.
  function inked(layout) {
    const ink = getComputedStyle(document.body).getPropertyValue("--color-foreground-primary").trim();
    return ink ? JSON.parse(JSON.stringify(layout).replace(GREYS, JSON.stringify(ink))) : layout;
  }

  function draw(place) {
    const { data, layout, frames } = JSON.parse(place.querySelector("script").textContent);
    const scale = Math.max(NARROWEST, Math.min(1, place.clientWidth / layout.width));
    const sized = { ...inked(layout), width: layout.width * scale, height: layout.height * scale };
    place.querySelector("img")?.remove();
    Plotly.newPlot(place, data, sized, { displaylogo: false })
      .then(() => frames && Plotly.addFrames(place, frames.map((one) => one.layout ? { ...one, layout: inked(one.layout) } : one)))
      .then(() => place.classList.add("drawn"));
  }

  document.addEventListener("DOMContentLoaded", () => {
    const places = document.querySelectorAll(".course-figure");
    if (!places.length) return;
    const script = document.createElement("script");
    script.src = folder + "plotly.min.js";
    script.onload = () => places.forEach((place) => {
      new IntersectionObserver((seen, watcher) => {
        if (seen.some((one) => one.isIntersecting)) { watcher.disconnect(); draw(place); }
      }, { rootMargin: "600px" }).observe(place);
    });
    document.head.append(script);
    const redraw = () => document.querySelectorAll(".course-figure.drawn").forEach(draw);
    new MutationObserver(redraw).observe(document.body, { attributeFilter: ["data-theme"] }); // light, dark, automatic
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  });
})();

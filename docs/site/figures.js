// Draws the Plotly figures of a page, each kept as JSON beside its place. Plotly is loaded where there is one.
(() => {
  const folder = document.currentScript.src.replace(/[^/]*$/, "");
  document.addEventListener("DOMContentLoaded", () => {
    const places = document.querySelectorAll(".course-figure");
    if (!places.length) return;
    const script = document.createElement("script");
    script.src = folder + "plotly.min.js";
    script.onload = () => places.forEach((place) => {
      const { data, layout, frames } = JSON.parse(place.querySelector("script").textContent);
      const draw = () => {
        place.querySelector("img")?.remove();
        Plotly.newPlot(place, data, layout, { displaylogo: false }).then(() => frames && Plotly.addFrames(place, frames));
      };
      new IntersectionObserver((seen, watcher) => {
        if (seen.some((one) => one.isIntersecting)) { watcher.disconnect(); draw(); }
      }, { rootMargin: "600px" }).observe(place);
    });
    document.head.append(script);
  });
})();

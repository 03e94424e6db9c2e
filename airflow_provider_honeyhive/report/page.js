for (const place of document.querySelectorAll(".chart")) {
  const spec = JSON.parse(place.querySelector("script").textContent);
  vegaEmbed(place, spec, {
    mode: "vega-lite",
    renderer: "svg",
    actions: false,
    // Without building code out of texts, which the page's own rules forbid.
    ast: true,
    tooltip: { disableDefaultStyle: true },
  });
}

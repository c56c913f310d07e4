// Sliders without a kernel: each position shows one of the pictures that the build has drawn.
// A page brings its lattices in window.companionExplorables (scripts load from file://, data do not).

(() => {
  const element = (tag, properties = {}, children = []) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  function slider(control, id, position, move) {
    const { label, texts } = control;
    const output = element("output", { htmlFor: id });
    const range = element("input", { type: "range", id, min: 0, max: texts.length - 1, step: 1 });
    const set = (at) => {
      range.value = at;
      output.value = texts[at];
      range.setAttribute("aria-valuetext", texts[at]);
    };
    range.dataset.control = control.name;
    range.addEventListener("input", () => move(range.valueAsNumber));
    set(position);
    return { set, row: [element("label", { htmlFor: id, textContent: label }), range, output] };
  }

  function build(figure, number) {
    const lattice = window.companionExplorables[figure.dataset.name];
    const held = figure.dataset.held.split(" ");
    const at = figure.dataset.at.split("-").map(Number);
    const picture = figure.querySelector("img");
    const caption = figure.querySelector("figcaption p");
    const path = (key) => `${figure.dataset.root}/${figure.dataset.name}/${key}.png`;
    const sliders = {};

    function show(changes) {
      lattice.controls.forEach(({ name }, axis) => {
        if (!(name in changes) || !(name in sliders)) return;
        at[axis] = changes[name];
        sliders[name].set(at[axis]);
      });
      const key = at.join("-");
      picture.src = path(key);
      picture.alt = caption.textContent = lattice.alt[key];
    }

    const free = lattice.controls.filter(
      ({ name, texts }) => !held.includes(name) && texts.length > 1
    );
    for (const control of free) {
      const { name } = control;
      const position = at[lattice.controls.indexOf(control)];
      const id = `explorable-${number}-${name}`;
      sliders[name] = slider(control, id, position, (to) => show({ [name]: to }));
    }
    const rows = free.flatMap(({ name }) => sliders[name].row);
    const buttons = Object.entries(lattice.presets).map(([textContent, setting]) =>
      element("button", { type: "button", textContent, onclick: () => show(setting) })
    );
    const prompts = lattice.prompts.map((textContent) => element("li", { textContent }));
    figure.prepend(
      element("p", { className: "explorable-title", textContent: lattice.title }),
      element("p", { textContent: "Predict before you move:" }),
      element("ul", {}, prompts),
      element("div", { className: "explorable-sliders" }, rows),
      element("div", { className: "explorable-presets" }, buttons)
    );
    return () => preload(Object.keys(lattice.alt), at, lattice, held, path);
  }

  // All pictures that the sliders reach, those on the same row first, one by one.
  async function preload(keys, at, lattice, held, path) {
    const away = (key) => key.split("-").filter((to, axis) => Number(to) !== at[axis]).length;
    const reached = (key) =>
      key.split("-").every((to, axis) =>
        Number(to) === at[axis] || !held.includes(lattice.controls[axis].name));
    const kept = [];
    for (const key of keys.filter(reached).sort((a, b) => away(a) - away(b))) {
      const image = new Image();
      image.src = path(key);
      kept.push(image);
      await new Promise((done) => (image.onload = image.onerror = done));
    }
    return kept;
  }

  const start = () => {
    const preloads = [...document.querySelectorAll("figure.explorable")].map(build);
    const after = () => Promise.all(preloads.map((load) => load())).then((kept) => {
      window.companionPictures = kept; // held, so that the browser does not drop them
      document.documentElement.dataset.explorables = "loaded";
    });
    document.readyState === "complete" ? after() : window.addEventListener("load", after);
  };
  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", start) : start();
})();

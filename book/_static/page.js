// Panels on a page without a kernel: their pictures come from a script that loads when a panel is
// near (scripts load from file://, data do not) and leaves them in window.companionStores.

(() => {
  const stores = {};

  function store(root, name) {
    return (stores[name] ??= new Promise((done, failed) => {
      const ready = () => done(unpacked(window.companionStores[name]));
      const script = document.createElement("script");
      Object.assign(script, { src: `${root}/${name}.js`, onload: ready, onerror: failed });
      document.head.append(script);
    }));
  }

  // Parts that pictures share are kept once; {"@": 3} stands for the fourth.
  function unpacked({ pool, pictures }) {
    const found = new Map();
    const part = (index) => {
      if (!found.has(index)) found.set(index, whole(pool[index]));
      return found.get(index);
    };
    const whole = (value) => {
      if (Array.isArray(value)) {
        return value.some((each) => typeof each === "object" && each) ? value.map(whole) : value;
      }
      if (typeof value !== "object" || value === null) return value;
      if ("@" in value) return part(value["@"]);
      return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, whole(each)]));
    };
    const drawn = {};
    return (key) => (drawn[key] ??= whole(pictures[key]));
  }

  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      const { name, root } = target.dataset;
      store(root, name).then(() => (target.dataset.loaded = "yes"));
    }
  }, { rootMargin: "800px" });

  // What a reader answered stays in this browser: no names, sent nowhere.
  function predictions(name) {
    const place = `companion.prediction.${name}`;
    try {
      const kept = localStorage.getItem(place);
      return {
        predicted: kept === null ? undefined : JSON.parse(kept),
        commit: (chosen) => localStorage.setItem(place, JSON.stringify(chosen)),
      };
    } catch { // a browser that keeps nothing asks again
      return {};
    }
  }

  function build(figure) {
    const { facts, at, first } = JSON.parse(figure.querySelector("script").textContent);
    const { name, root } = figure.dataset;
    let pictures = null;
    const all = () => store(root, name).then((found) => (pictures = found));
    const get = (key) => (pictures ? pictures(key) : all().then((found) => found(key)));
    figure.dataset.held = facts.held.join(" ");
    globalThis.companion.panel(figure, { facts, at, first, get, ...predictions(name) });
    near.observe(figure);
  }

  const start = () => document.querySelectorAll("figure.companion-panel").forEach(build);
  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", start) : start();
})();

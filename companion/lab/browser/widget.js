// The panel in JupyterLab: pictures come from the kernel, which sends them ahead of being asked.

const SILENT = "The kernel does not answer. Run this cell again, and the sliders move its picture.";

export default {
  render({ model, el }) {
    const name = (at) => at.join("-");
    const known = new Map([[name(model.get("at")), model.get("shown")]]);
    const asked = new Map();
    const listeners = { progress: () => {}, trained: () => {} };
    const heard = (message) => {
      for (const [key, picture] of Object.entries(message.pictures ?? {})) {
        known.set(key, picture);
        asked.get(key)?.(picture);
        asked.delete(key);
      }
      if (message.progress) listeners.progress(message.progress);
      if (message.trained) listeners.trained(message.trained);
    };
    model.on("msg:custom", heard);
    model.send({ seen: true });

    function get(key) {
      if (known.has(key)) return known.get(key);
      model.send({ ask: key });
      return new Promise((done) => {
        asked.set(key, done);
        setTimeout(() => done({ ...model.get("shown"), says: SILENT }), 5000);
      });
    }

    let later = 0;
    function moved(key) { // what is stored with the notebook, and what "train here" trains
      clearTimeout(later);
      later = setTimeout(() => {
        model.set("at", key.split("-").map(Number));
        if (known.has(key)) model.set("shown", known.get(key));
        model.save_changes();
      }, 150);
    }

    const live = model.get("facts").live && {
      start: () => model.send({ train: true }),
      stop: () => model.send({ stop: true }),
      listen: (given) => Object.assign(listeners, given),
    };
    const source = { facts: model.get("facts"), at: model.get("at"), first: model.get("shown") };
    const root = document.createElement("div");
    root.dataset.name = model.get("facts").name;
    root.addEventListener("keydown", (event) => { // arrow keys are the sliders', not the notebook's
      if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
    });
    el.append(root);
    const commit = (chosen) => {
      model.set("predicted", [chosen]);
      model.save_changes();
    };
    const predicted = model.get("predicted")[0]; // none before it is answered
    globalThis.companion.panel(root, { ...source, get, moved, live, predicted, commit });
    return () => model.off("msg:custom", heard);
  },
};

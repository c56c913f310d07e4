// An explorable as a panel: its question, its sliders and choices, its picture, what it shows in
// words. The same in JupyterLab and on a page; where pictures come from, `source` knows:
//   facts: { title, controls: [{ name, label, texts, choice }], presets, prompts, question, held }
//   at:    the positions of all controls and of the seed
//   get:   (key) => the picture of positions joined by "-", or a promise of it
//   predicted, commit: what was answered to the question, if it was, and where it is kept
//   moved: (key) => nothing, where somebody wants to know; live: how to train here, if one can

(() => {
  const { draw, table, html, watch } = globalThis.companion;
  let panels = 0;

  const spoken = (range, text) => range.setAttribute("aria-valuetext", text);

  function slider(control, id, position, move) {
    const { label, texts } = control;
    const output = html("output", { htmlFor: id });
    const range = html("input", { type: "range", id, min: 0, max: texts.length - 1, step: 1 });
    const ticks = html("span", { className: "companion-ticks", ariaHidden: "true" },
      texts.map(() => html("i")));
    const set = (at) => {
      range.value = at;
      output.value = texts[at];
      spoken(range, texts[at]);
    };
    range.dataset.control = control.name;
    range.addEventListener("input", () => move(range.valueAsNumber));
    set(position);
    const shell = html("span", { className: "companion-range" }, [range, ticks]);
    return { set, row: [html("label", { htmlFor: id, textContent: label }), shell, output] };
  }

  function choice(control, id, position, move) {
    const inputs = control.texts.map((text, value) =>
      html("input", { type: "radio", name: id, value, id: `${id}-${value}` }));
    const set = (at) => (inputs[at].checked = true);
    inputs.forEach((input, at) => input.addEventListener("change", () => move(at)));
    inputs.forEach((input) => (input.dataset.control = control.name));
    set(position);
    const options = inputs.map((input, at) =>
      html("label", { htmlFor: input.id }, [input, control.texts[at]]));
    const group = html("fieldset", { className: "companion-choice" },
      [html("legend", { textContent: control.label }), ...options]);
    return { set, row: [group] };
  }

  // "Train here": what is trained now, drawn as the panel draws, below what was computed beforehand.
  function trainer({ start, stop, listen }) {
    const begin = html("button", { type: "button", textContent: "train here" });
    const end = html("button", { type: "button", textContent: "stop", disabled: true });
    const bar = html("progress", { value: 0, hidden: true, ariaLabel: "epochs" });
    const message = html("p");
    const picture = html("div");
    message.setAttribute("role", "status");
    begin.onclick = () => {
      [begin.disabled, end.disabled, bar.hidden] = [true, false, false];
      start();
    };
    end.onclick = stop;
    listen({
      progress: ({ epoch, epochs, says }) => {
        Object.assign(bar, { value: epoch, max: epochs });
        message.textContent = says;
      },
      trained: ({ says, picture: data }) => {
        [begin.disabled, end.disabled, bar.hidden] = [false, true, true];
        message.textContent = says;
        if (data) draw(picture, data);
      },
    });
    watch(picture);
    const row = html("div", { className: "companion-presets" }, [begin, end, bar]);
    return html("div", { className: "companion-trainer" }, [row, message, picture]);
  }

  // The question before the sliders: they move when it is answered, or when one only wants to see.
  function question({ text, choices, right, reveals }, id, answered, commit) {
    const inputs = choices.map((_, value) => html("input", { type: "radio", name: id, value }));
    const options = inputs.map((input, i) => html("label", {}, [input, choices[i]]));
    const ready = html("button", { type: "button", textContent: "this is my prediction" });
    const skip = html("button", { type: "button", textContent: "just show me" });
    const verdict = html("p");
    const form = html("fieldset", { className: "companion-question" },
      [html("legend", { textContent: text }), ...options]);
    const row = html("div", { className: "companion-presets" }, [ready, skip]);
    verdict.setAttribute("role", "status");
    ready.disabled = true;
    form.addEventListener("change", () => (ready.disabled = false));
    const close = (chosen) => {
      form.disabled = true;
      row.remove();
      if (inputs[chosen]) inputs[chosen].checked = true;
      options[right].classList.add("companion-right");
      const said = { true: "Your prediction holds. ", false: "It is otherwise. " };
      verdict.textContent = (chosen === null ? "" : said[chosen === right]) + reveals;
    };
    ready.onclick = () => {
      const chosen = inputs.findIndex((input) => input.checked);
      close(chosen);
      commit(chosen);
    };
    skip.onclick = () => {
      close(null);
      commit(null);
    };
    if (answered !== undefined) close(answered);
    return [form, row, verdict];
  }

  /** Build the panel of a source in an element, and return how to move it and to stop it. */
  function panel(element, source) {
    const { facts } = source;
    const at = [...source.at];
    const number = (panels += 1);
    const picture = html("div");
    const caption = html("p");
    caption.setAttribute("aria-live", "polite");
    let shown = null;
    let asked = null;
    let waiting = 0;
    let locked = Boolean(facts.question) && source.predicted === undefined;
    const sliders = html("fieldset", { className: "companion-controls", disabled: locked });

    function show(data) {
      shown = data;
      draw(picture, locked ? opening(data) : data);
      picture.setAttribute("aria-label", locked ? facts.title : data.says);
      caption.textContent = locked ? "" : data.says;
      numbers.replaceWith((numbers = table(() => shown)));
      numbers.hidden = locked;
    }

    // What is seen before the question is answered: the first columns, as wide as they will be.
    function opening(data) {
      const columns = data.columns.map((panels, i) => (i < facts.opening ? panels : []));
      return { ...data, columns };
    }

    function unlock(chosen) {
      locked = sliders.disabled = false;
      source.commit?.(chosen);
      show(shown);
      sliders.querySelector("input")?.focus({ preventScroll: true });
    }

    function go(changes) {
      facts.controls.forEach(({ name }, axis) => {
        if (!(name in changes) || !(name in movers)) return;
        at[axis] = changes[name];
        movers[name].set(at[axis]);
      });
      const key = (asked = at.join("-"));
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(async () => {
        const data = await source.get(key);
        if (data && key === asked) show(data); // the sliders may have moved on
      });
      source.moved?.(key);
    }

    const movers = {};
    const free = facts.controls.filter(
      ({ name, texts }) => !facts.held.includes(name) && texts.length > 1);
    for (const control of free) {
      const id = `companion-${number}-${control.name}`;
      const make = control.choice ? choice : slider;
      const position = at[facts.controls.indexOf(control)];
      movers[control.name] = make(control, id, position, (to) => go({ [control.name]: to }));
    }
    const buttons = Object.entries(facts.presets).map(([textContent, setting]) =>
      html("button", { type: "button", textContent, onclick: () => go(setting) }));
    let numbers = table(() => shown);
    picture.setAttribute("role", "img");
    element.classList.add("companion-panel");
    const asks = facts.question
      ? question(facts.question, `companion-${number}-question`, source.predicted, unlock) : [];
    const tries = html("ul", {}, facts.prompts.map((textContent) => html("li", { textContent })));
    const invite = facts.question ? "Then try:" : "Predict before you move:";
    sliders.append(
      ...(facts.prompts.length ? [html("p", { textContent: invite }), tries] : []),
      html("div", { className: "companion-sliders" }, free.flatMap(({ name }) => movers[name].row)),
      html("div", { className: "companion-presets" }, buttons));
    element.replaceChildren(
      html("p", { className: "companion-heading", textContent: facts.title }),
      ...asks, sliders, picture, caption, numbers,
      ...(source.live ? [trainer(source.live)] : []));
    watch(picture);
    if (source.first) show(source.first);
    else go({});
    return { go, show, positions: () => at };
  }

  globalThis.companion.panel = panel;
})();

// The numbers behind a picture: those under the pointer, and all of them as a table.

(() => {
  const html = (tag, properties = {}, children = []) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // What lies under a pointer: the nearest point of a mark, with its numbers in words.
  function nearest(panel, at, [px, py]) {
    let best = { far: 30 };
    for (const mark of panel.marks) {
      if (!["points", "line"].includes(mark.kind) || mark.colour === "paper") continue;
      mark.x.forEach((x, i) => {
        const [mx, my] = at(x, mark.y[i], mark.right);
        const far = Math.hypot(mx - px, my - py);
        if (far < best.far) best = { far, mark, i, mx, my };
      });
    }
    return best.mark && best;
  }

  const value = (axis, v) => {
    const named = axis.ticks.indexOf(v);
    const text = named >= 0 ? axis.names[named].replace(/\n/g, " ") : Number(v.toPrecision(4));
    return axis.label ? `${axis.label.replace(/;.*/, "")}: ${text}` : `${text}`;
  };

  function answer(panel, { mark, i }) {
    const y = mark.right ? panel.right : panel.y;
    const parts = [mark.label, value(panel.x, mark.x[i]), value(y, mark.y[i])];
    return parts.filter(Boolean).join(", ");
  }

  function listen(shell, panel, current) {
    const tip = html("span", { className: "companion-tip", hidden: true });
    const show = (found) => {
      tip.hidden = !found;
      if (!found) return;
      tip.textContent = answer(panel, found);
      const half = tip.offsetWidth / 2;
      const x = Math.max(half, Math.min(shell.clientWidth - half, found.mx));
      tip.style.transform = `translate(${x - half}px, ${Math.max(0, found.my - 34)}px)`;
    };
    shell.append(tip);
    shell.addEventListener("pointermove", (event) => {
      const room = current.picture.getBoundingClientRect();
      show(nearest(panel, current.at, [event.clientX - room.left, event.clientY - room.top]));
    });
    shell.addEventListener("pointerleave", () => show());
  }

  // The numbers of all labelled marks, as a table that is made when it is opened.
  function table(data) {
    const box = html("details", { className: "companion-numbers" }, [
      html("summary", { textContent: "the numbers" }),
    ]);
    box.addEventListener("toggle", () => {
      if (!box.open || box.children.length > 1) return;
      const panels = data().columns.flat();
      box.append(...panels.flatMap((panel) => panel.marks
        .filter((mark) => ["points", "line", "band"].includes(mark.kind) && mark.colour !== "paper")
        .map((mark) => numbers(panel, mark))));
    });
    return box;
  }

  function numbers(panel, mark) {
    const y = (mark.right ? panel.right : panel.y).label ?? "y";
    const heads = mark.kind === "band" ? [panel.x.label, `${y}, least`, `${y}, most`]
      : [panel.x.label, y];
    const columns = mark.kind === "band" ? [mark.x, mark.low, mark.high] : [mark.x, mark.y];
    const cells = (row, tag) => html("tr", {}, row.map((v) =>
      html(tag, { textContent: v ?? "", ...(tag === "th" ? { scope: "col" } : {}) })));
    const rows = mark.x.slice(0, 500).map((_, i) => cells(columns.map((c) => c[i]), "td"));
    const caption = html("caption", {
      textContent: [panel.title, mark.label].filter(Boolean).join(": ") || mark.kind });
    return html("table", {}, [caption, html("thead", {}, [cells(heads.map((h) => h || "x"), "th")]),
      html("tbody", {}, rows)]);
  }

  globalThis.companion = { ...globalThis.companion, html, listen, table };
})();

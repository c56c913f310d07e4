// Draws a picture as data (companion/lab/picture.py) into an element: a panel is an SVG as wide as
// there is room, so its letters keep their size; legends, values and the table of numbers are HTML.

(() => {
  const { html, listen } = globalThis.companion;
  const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779",
    "#6ece58", "#b5de2b", "#fde725"];
  const CLASSES = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2",
    "#7f7f7f", "#bcbd22", "#17becf"];
  const SHADES = 32; // steps of the map of colours
  const POINT = 4 / 3; // pixels
  const LETTER = 12; // pixels, of all that is written in a panel
  const DASHES = { dashed: "6 4", dotted: "2 3" };

  const svg = (tag, attributes = {}, children = []) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  };
  const colour = (name) => `var(--companion-${name ?? "blue"})`;
  const wide = (text) => Math.max(...text.split("\n").map((line) => line.length)) * LETTER * 0.54;

  // From a number on an axis to 0…1 along it.
  function scale(axis) {
    const t = axis.threshold ?? 1;
    const straight = {
      log: (v) => Math.log10(v),
      symlog: (v) => Math.sign(v) *
        (Math.min(Math.abs(v) / t, 1) + Math.log10(Math.max(Math.abs(v) / t, 1))),
    }[axis.scale] ?? ((v) => v);
    const [low, high] = axis.limits.map(straight);
    return (v) => (straight(v) - low) / (high - low);
  }

  function mapped(shade) {
    const at = Math.max(0, Math.min(1, shade)) * (VIRIDIS.length - 1);
    const low = Math.min(Math.floor(at), VIRIDIS.length - 2);
    const parts = [VIRIDIS[low], VIRIDIS[low + 1]].map((hex) =>
      [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    const mixed = parts[0].map((v, i) => Math.round(v + (at - low) * (parts[1][i] - v)));
    return `rgb(${mixed})`;
  }

  // Indices of the points that share a colour, by colour.
  function byShade(mark) {
    const groups = new Map();
    mark.shade.forEach((shade, i) => {
      const key = mark.colour === "classes" ? CLASSES[shade % 10]
        : mapped(Math.round(shade * SHADES) / SHADES);
      groups.set(key, [...(groups.get(key) ?? []), i]);
    });
    return groups;
  }

  const number = (v) => v.toFixed(1).replace(/\.0$/, "");

  function shape(marker, size) {
    const r = (size * POINT) / 2;
    return {
      o: "h0",
      s: `m${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
      D: `m0,${-r}l${r},${r}l${-r},${r}l${-r},${-r}z`,
      "^": `m0,${-r}l${r},${2 * r}h${-2 * r}z`,
      v: `m0,${r}l${r},${-2 * r}h${-2 * r}z`,
      "+": `m${-r},0h${2 * r}m${-r},${-r}v${2 * r}`,
      x: `m${-r},${-r}l${2 * r},${2 * r}m${-2 * r},0l${2 * r},${-2 * r}`,
      "|": `m0,${-r}v${2 * r}`,
    }[marker];
  }

  // Many points of one colour as one path: dots are round ends of lines without a length.
  function dots(places, marker, size, paint, alpha, hollow, edge) {
    if (marker === "o" && (hollow || edge)) {
      const style = { r: (size * POINT) / 2, fill: hollow ? "none" : paint, opacity: alpha,
        stroke: edge ? colour("ink") : paint, "stroke-width": 1.3 };
      return places.map(([cx, cy]) => svg("circle", { cx, cy, ...style }));
    }
    const d = places.map(([x, y]) => `M${number(x)},${number(y)}${shape(marker, size)}`).join("");
    const line = "+x|".includes(marker) || hollow;
    const round = { stroke: paint, "stroke-width": size * POINT, "stroke-linecap": "round" };
    const thin = { stroke: paint, "stroke-width": marker === "|" ? 3 : 1.5 };
    const full = edge ? { fill: paint, stroke: colour("ink"), "stroke-width": 1.3 } : { fill: paint };
    const style = marker === "o" ? round : line ? thin : full;
    return [svg("path", { d, fill: "none", opacity: alpha, ...style })];
  }

  const trace = (places) => {
    let open = false;
    return places.map(([x, y]) => {
      const there = Number.isFinite(x) && Number.isFinite(y);
      const step = there ? `${open ? "L" : "M"}${number(x)},${number(y)}` : "";
      open = there;
      return step;
    }).join("");
  };

  const DRAWN = {
    points(mark, at) {
      const { marker = "o", size = 5, alpha = 1, hollow, edge } = mark;
      const places = mark.x.map((x, i) => at(x, mark.y[i], mark.right));
      const seen = (i) => places[i].every(Number.isFinite);
      if (!mark.shade) {
        const kept = places.filter((_, i) => seen(i));
        return dots(kept, marker, size, colour(mark.colour), alpha, hollow, edge);
      }
      return [...byShade(mark)].flatMap(([paint, indices]) =>
        dots(indices.filter(seen).map((i) => places[i]), marker, size, paint, alpha));
    },
    line(mark, at) {
      const places = mark.x.map((x, i) => at(x, mark.y[i], mark.right));
      const style = { fill: "none", "stroke-width": (mark.width ?? 1.5) * POINT,
        "stroke-dasharray": DASHES[mark.dash], opacity: mark.alpha, "stroke-linejoin": "round" };
      if (mark.shade) {
        return [...byShade(mark)].map(([stroke, indices]) => {
          const pieces = indices.filter((i) => i + 1 < places.length);
          const d = pieces.map((i) => trace([places[i], places[i + 1]])).join("");
          return svg("path", { d, stroke, ...style });
        });
      }
      const made = [svg("path", { d: trace(places), stroke: colour(mark.colour), ...style })];
      if (!mark.marker) return made;
      const kept = places.filter((place) => place.every(Number.isFinite));
      return [...made, ...dots(kept, mark.marker, 4, colour(mark.colour), mark.alpha)];
    },
    band(mark, at) {
      const upper = mark.x.map((x, i) => at(x, mark.high[i], mark.right));
      const lower = mark.x.map((x, i) => at(x, mark.low[i], mark.right)).reverse();
      const d = `${trace([...upper, ...lower].filter((place) => place.every(Number.isFinite)))}z`;
      return [svg("path", { d, fill: colour(mark.colour), opacity: mark.alpha ?? 0.22 })];
    },
    strip(mark, at) {
      const corners = (i) => [at(mark.x[i], mark.y[i]), at(mark.x[i + 1], mark.y[i + 1]),
        at(mark.x2[i + 1], mark.y2[i + 1]), at(mark.x2[i], mark.y2[i])];
      return mark.x.slice(1).map((_, i) => svg("path", { d: `${trace(corners(i))}z`,
        fill: mapped((mark.shade[i] + mark.shade[i + 1]) / 2), opacity: mark.alpha }));
    },
    bars(mark, at) {
      const steps = mark.heights.flatMap((h, i) => [at(mark.edges[i], h), at(mark.edges[i + 1], h)]);
      const ends = [at(mark.edges[0], 0), at(mark.edges.at(-1), 0)];
      const d = trace([ends[0], ...steps, ends[1]]);
      const style = mark.outline ? { fill: "none", stroke: colour(mark.colour), "stroke-width": 1.5 }
        : { fill: colour(mark.colour), opacity: mark.alpha ?? 0.5 };
      return [svg("path", { d, ...style })];
    },
    rule(mark, at, box) {
      const [x, y] = at(mark.x ?? null, mark.y ?? null, mark.right);
      const ends = mark.x === undefined ? { x1: box.left, x2: box.right, y1: y, y2: y }
        : { x1: x, x2: x, y1: box.top, y2: box.bottom };
      const dash = DASHES[mark.dash ?? "dotted"];
      return [svg("line", { ...ends, stroke: colour(mark.colour ?? "grey"),
        "stroke-width": (mark.width ?? 1.2) * POINT, "stroke-dasharray": dash })];
    },
    span(mark, at, box) {
      const [a, b] = (mark.x ?? mark.y).map((v) => (mark.x ? at(v, null)[0] : at(null, v)[1]));
      const [low, size] = [Math.min(a, b), Math.abs(a - b)];
      const place = mark.x ? { x: low, width: size, y: box.top, height: box.bottom - box.top }
        : { y: low, height: size, x: box.left, width: box.right - box.left };
      const paint = { fill: colour(mark.colour ?? "grey"), opacity: mark.alpha ?? 0.2 };
      return [svg("rect", { ...place, ...paint })];
    },
    text(mark, at) {
      const [x, y] = at(mark.x, mark.y);
      const style = { "text-anchor": mark.anchor ?? "middle", fill: colour(mark.colour ?? "ink") };
      if (mark.boxed) style.class = "companion-boxed";
      return [words(mark.text, x, y, style)];
    },
    images(mark, at) {
      const [[x0, y0], [x1, y1]] = [at(0, mark.row), at(mark.columns, mark.row + mark.rows)];
      return [svg("image", { href: `data:image/png;base64,${mark.png}`, x: x0, y: y0,
        width: x1 - x0, height: y1 - y0, preserveAspectRatio: "none",
        class: mark.grey ? "companion-ink" : "companion-photo" })];
    },
  };

  // Lines of text, the middle of all of them at y.
  function words(text, x, y, attributes) {
    const lines = text.split("\n");
    const first = -0.6 * (lines.length - 1) + 0.35;
    return svg("text", { x, y, ...attributes }, lines.map((line, i) => {
      const span = svg("tspan", { x, dy: `${i ? 1.2 : first}em` });
      span.textContent = line;
      return span;
    }));
  }

  // Ticks that do not touch, by their place along the axis and the room each takes.
  function apart(places, sizes) {
    const order = places.map((_, i) => i).sort((a, b) => places[a] - places[b]);
    let end = -Infinity;
    return order.filter((i) => {
      if (places[i] - sizes[i] / 2 < end) return false;
      end = places[i] + sizes[i] / 2;
      return true;
    });
  }

  // The names of ticks one above the other: where they would touch, their first lines alone.
  function fitting(names, up) {
    const room = (all) => all.map((name) => LETTER * 1.25 * name.split("\n").length);
    const kept = apart(up, room(names));
    if (kept.length === names.length) return { names, kept };
    const first = names.map((name) => name.split("\n")[0].replace(/,$/, ""));
    return { names: first, kept: apart(up, room(first)) };
  }

  function frame(panel, width, height) {
    const rows = (axis) => (axis ? Math.max(8, ...axis.names.map(wide)) : 0);
    const side = (axis) => (axis ? rows(axis) + 12 + (axis.label ? 18 : 0) : 12);
    const bare = panel.marks.some(({ kind }) => kind === "images");
    const left = Math.min(side(panel.y), width * 0.46);
    const foot = panel.x.names.length || panel.x.label ? 22 + (panel.x.label ? 20 : 0) : 8;
    const [right, bottom] = [width - side(panel.right), height - foot];
    const box = { left, right, top: 8, bottom, foot, bare, width };
    if (panel.equal) squeeze(panel, box);
    return box;
  }

  // Make a unit as long on both axes, in the middle of the room there is.
  function squeeze(panel, box) {
    const span = ({ limits: [a, b] }) => Math.abs(b - a);
    const [across, down] = [box.right - box.left, box.bottom - box.top];
    const unit = Math.min(across / span(panel.x), down / span(panel.y));
    const [w, h] = [unit * span(panel.x), unit * span(panel.y)];
    const free = box.bare ? 0 : (across - w) / 2;
    Object.assign(box, { left: box.left + free, right: box.left + free + w, bottom: box.top + h });
  }

  function axes(panel, box, at) {
    const made = [];
    const { x, y, right } = panel;
    const grid = (place) => svg("line", { class: "companion-grid", ...place });
    if (!box.bare) {
      made.push(svg("rect", { class: "companion-frame", x: box.left, y: box.top,
        width: box.right - box.left, height: box.bottom - box.top }));
    }
    const across = x.ticks.map((tick) => at(tick, null)[0]);
    for (const i of apart(across, x.names.map((name) => wide(name) + 8))) {
      if (x.grid) made.push(grid({ x1: across[i], x2: across[i], y1: box.top, y2: box.bottom }));
      if (!box.bare) made.push(grid({ x1: across[i], x2: across[i], y1: box.bottom, y2: box.bottom + 4 }));
      made.push(words(x.names[i], across[i], box.bottom + 13, { "text-anchor": "middle" }));
    }
    for (const [axis, edge, sign] of [[y, box.left, -1], [right, box.right, 1]]) {
      if (!axis) continue;
      const up = axis.ticks.map((tick) => at(null, tick, axis === right)[1]);
      const { names, kept } = fitting(axis.names, up);
      for (const i of kept) {
        if (axis.grid) made.push(grid({ x1: box.left, x2: box.right, y1: up[i], y2: up[i] }));
        if (!box.bare) made.push(grid({ x1: edge, x2: edge + 4 * sign, y1: up[i], y2: up[i] }));
        const anchor = { "text-anchor": sign < 0 ? "end" : "start" };
        made.push(words(names[i], edge + 7 * sign, up[i], anchor));
      }
      if (!axis.label) continue;
      const [lx, ly] = [sign < 0 ? 9 : box.width - 9, (box.top + box.bottom) / 2];
      const turn = { transform: `rotate(-90 ${lx} ${ly})`, fill: colour(axis.colour ?? "ink") };
      made.push(words(axis.label, lx, ly, { "text-anchor": "middle", ...turn }));
    }
    if (x.label) {
      const half = Math.min(wide(x.label), box.width) / 2; // it stays inside where it is long
      const middle = Math.max(half, Math.min(box.width - half, (box.left + box.right) / 2));
      made.push(words(x.label, middle, box.bottom + 32, { "text-anchor": "middle" }));
    }
    return made;
  }

  let clips = 0;

  function drawPanel(panel, width, height) {
    const box = frame(panel, width, height);
    const [sx, sy] = [scale(panel.x), scale(panel.y)];
    const sr = panel.right ? scale(panel.right) : sy;
    const at = (x, y, onRight) => [
      x === null ? NaN : box.left + sx(x) * (box.right - box.left),
      y === null ? NaN : box.bottom - (onRight ? sr : sy)(y) * (box.bottom - box.top),
    ];
    const id = `companion-clip-${(clips += 1)}`;
    const place = { x: box.left, y: box.top, width: box.right - box.left,
      height: box.bottom - box.top };
    const inside = panel.marks.filter(({ kind }) => kind !== "text");
    const onTop = panel.marks.filter(({ kind }) => kind === "text");
    const drawn = (marks) => marks.flatMap((mark) => DRAWN[mark.kind](mark, at, box));
    const picture = svg("svg", { class: "companion-plot", width, height: box.bottom + box.foot, "aria-hidden": "true" }, [
      svg("clipPath", { id }, [svg("rect", place)]),
      svg("g", { "clip-path": `url(#${id})` }, drawn(inside)),
      ...axes(panel, box, at),
      ...drawn(onTop),
    ]);
    if (panel.note) {
      picture.append(words(panel.note, box.left + 6, box.bottom - 10, { "text-anchor": "start" }));
    }
    return { picture, at, box };
  }

  function legend(panel) {
    const named = panel.legend ? panel.marks.filter((mark) => mark.label) : [];
    return html("p", { className: "companion-legend" }, named.map((mark) => {
      const at = (x, y) => [x ?? 0, y ?? 0];
      const box = { left: 0, right: 22, top: 0, bottom: 14 };
      const sample = {
        points: { ...mark, x: [11], y: [7], shade: undefined },
        line: { ...mark, x: mark.marker ? [0, 11, 22] : [0, 22], y: mark.marker ? [7, 7, 7] : [7, 7] },
        band: { ...mark, x: [0, 22], low: [2, 2], high: [12, 12] },
        bars: { ...mark, edges: [3, 19], heights: [12] },
        rule: mark.x === undefined ? { ...mark, y: 7 } : { ...mark, x: 11 },
        span: { ...mark, x: [3, 19], y: undefined },
      }[mark.kind];
      const key = svg("svg", { width: 22, height: 14, "aria-hidden": "true" },
        DRAWN[mark.kind](sample, at, box));
      return html("span", {}, [key, mark.label]);
    }));
  }

  /** Draw a picture into an element; drawing another later moves nothing but what has changed. */
  function draw(element, data) {
    const widest = data.widths.reduce((a, b) => a + b, 0);
    const high = (data.size[1] / data.size[0]) * widest; // of the picture, a column's unit wide
    element.classList.add("companion-picture");
    const shells = [];
    const columns = data.columns.map((panels, c) => {
      const part = html("div", { className: "companion-column" }, panels.map((panel) => {
        const shell = html("div", { className: "companion-shell" });
        const title = html("p", { className: "companion-title", textContent: panel.title ?? "" });
        shells.push({ shell, panel, ratio: high / data.widths[c] / panels.length, current: {} });
        return html("div", {}, [title, legend(panel), shell]);
      }));
      part.style.flex = `${data.widths[c]} 1 ${Math.round(230 * Math.min(1.3, data.widths[c] * data.columns.length / widest))}px`;
      return part;
    });
    element.replaceChildren(...columns);
    for (const one of shells) {
      fit(one);
      listen(one.shell, one.panel, one.current);
    }
    element.companionShells = shells;
  }

  function fit({ shell, panel, ratio, current }) {
    const width = Math.max(200, shell.clientWidth || 320);
    const height = panel.equal ? 600 : Math.max(170, Math.min(460, width * ratio));
    current.picture?.remove();
    Object.assign(current, drawPanel(panel, width, height));
    shell.prepend(current.picture);
  }

  const refit = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      if (target.companionWidth === contentRect.width) continue;
      target.companionWidth = contentRect.width;
      target.companionShells?.forEach(fit);
    }
  });

  Object.assign(globalThis.companion, { draw, watch: (element) => refit.observe(element) });
})();

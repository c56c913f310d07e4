"""What the package's reference needs beyond autodoc: names as users import them, and ``|x|``."""

import re
from importlib import import_module

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def setup(app: Sphinx) -> dict:
    app.connect("autodoc-process-docstring", tidy)
    app.connect("missing-reference", find_home)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def tidy(app: Sphinx, what: str, name: str, obj, options, lines: list[str]) -> None:
    """Keep ``|cos θ|`` an absolute value: it is no substitution of reStructuredText."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()  # Python's own words about the fields of a NamedTuple
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(``.*?``)", line)
            lines[number] = "".join(p if p[:2] == "``" else p.replace("|", r"\|") for p in parts)


def find_home(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.TextElement
) -> nodes.reference | None:
    """Resolve ``companion.networks.MLP`` to the module that defines it."""
    module, _, name = node.get("reftarget", "").rpartition(".")
    if node.get("refdomain") != "py" or not module.startswith("companion."):
        return None
    try:
        found = getattr(import_module(module), name)
        home = f"{found.__module__}.{found.__qualname__}"
    except (ImportError, AttributeError):
        return None
    target = (env, node["refdoc"], app.builder, node["reftype"], home, node, contnode)
    return env.get_domain("py").resolve_xref(*target)

"""The package's reference: a page a module, names as users import them, and ``|x|``."""

import ast
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from companion.atomic import write

PAGE = """# {name}

```{{eval-rst}}
.. automodule:: {name}
{options}```
"""


def setup(app: Sphinx) -> dict:
    app.add_directive("modules", Modules)
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", tidy)
    app.connect("missing-reference", find_home)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def listed(text: str) -> list[str]:
    """The modules in the blocks ``modules`` of a page.

    >>> listed("```{modules}\\na.b\\nc\\n```")
    ['a.b', 'c']
    """
    return " ".join(re.findall(r"```{modules}\n(.*?)```", text, re.DOTALL)).split()


def write_pages(app: Sphinx) -> None:
    """A page for each module that ``api.md`` lists, and for no other; what is so is left alone."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    names = listed((Path(app.srcdir) / "api.md").read_text("utf-8"))
    for old in folder.glob("*.md"):
        if old.stem not in names:
            old.unlink()
    for name in names:
        room = find_spec(name).submodule_search_locations  # its members are on their own pages
        text = PAGE.format(name=name, options="   :no-members:\n" if room else "")
        page = folder / f"{name}.md"
        if not page.exists() or page.read_text("utf-8") != text:
            write(page, text)


class Modules(SphinxDirective):
    """A link to the page of each module, with the first sentence of its docstring."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        lines = [
            f"- {{doc}}`{name} <reference/{name}>`: {first_line(name)}" for name in self.content
        ]
        return self.parse_text_to_nodes("\n".join(lines))


def first_line(name: str) -> str:
    """The first line of a module's docstring, with backticks as Markdown has them."""
    source = Path(find_spec(name).origin).read_text("utf-8")
    return ast.get_docstring(ast.parse(source)).partition("\n")[0].replace("``", "`")


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

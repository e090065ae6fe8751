"""What MkDocs does beside rendering (mkdocs.yml): pages from the repository's root, equations as MathML, no links out of the site."""

import re
from pathlib import Path, PurePosixPath

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
COPIED = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
SHIM = "https://unpkg.com/iframe-worker/shim"  # Material's offline plugin adds it
HOME = "---\nhide: [navigation]\n---\n"
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
EQUATION = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that lie in the repository's root; their links to docs/ become those of a page in docs/."""
    for name, source in COPIED.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = LINK.sub(lambda link: link[0] if link[2].startswith(("docs/", "http")) else link[1], text)
        text = re.sub(r"\]\(docs/", "](", text)
        files.append(File.generated(config, name, content=HOME + text if name == "index.md" else text))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository that are no pages into their text: the site may lie anywhere."""
    depth = len(PurePosixPath(page.file.src_uri).parts) - 1
    return LINK.sub(lambda link: link[1] if link[2].startswith("../" * (depth + 1)) else link[0], markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Set equations as MathML, which browsers show without any script."""
    return EQUATION.sub(lambda found: convert(_plain(found[2]), display="inline" if found[1] == "span" else "block"), html)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Search from disk with a script of the site instead of one that another host would have to send."""
    return output.replace(SHIM, f"{'../' * (len(PurePosixPath(page.file.dest_uri).parts) - 1)}search-from-disk.js")


def _plain(text: str) -> str:
    return text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")

"""A folder of files, with the answer that each must get in manifest.txt."""


def write(folder, ending, cases):
    """cases: {name: (answer, content)}."""
    folder.mkdir(exist_ok=True)
    lines = []
    for name, (answer, content) in cases.items():
        (folder / f"{name}{ending}").write_bytes(content)
        lines.append(f"{name}{ending} {answer}\n")
    (folder / "manifest.txt").write_text("".join(lines))

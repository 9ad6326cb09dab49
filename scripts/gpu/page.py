"""Makes gpu_check.json and gpu_check.md of the lines of a run of gpu_check, whole or not."""
import json
import os

AGAIN = {"CUDA_LAUNCH_BLOCKING": "1", "TSTITCH_CUDA_GRAPHS": "0"}  # the environment in which what failed is run again


def read_lines(path):
    if not os.path.exists(path):
        return []
    lines = []
    with open(path, errors="replace") as file:
        for text in file:
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:  # cut by a kill
                pass
    return lines


def groups_of(lines):
    """In their order: name, status, tests, results; of tests that were run again, what came of it beside."""
    groups = {}
    for line in lines:
        group = groups.setdefault(line["group"], {"name": line["group"], "status": "", "tests": [], "results": []})
        if "result" in line:
            if not line.get("again"):
                group["results"].append(line["result"])
            group["case"] = line.get("case")
        elif "test" in line:
            if line.get("again"):
                before = next((t for t in group["tests"] if t["test"] == line["test"]), None)
                if before:
                    before["again"], before["details_again"] = line["status"], line.get("details")
            else:
                group["tests"].append({key: line.get(key) for key in ("test", "status", "seconds", "details")})
        else:
            group |= {key: value for key, value in line.items() if key != "group" and value is not None}
    for group in groups.values():
        if group["status"] == "begun":
            group["status"] = "interrupted"
        if group["status"] == "passed" and group["tests"] and all(t["status"] == "skipped" for t in group["tests"]):
            group["status"] = "skipped"
    return list(groups.values())


def table(header, rows):
    cells = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(str(c).replace("|", "\\|") for c in row) + " |\n" for row in cells)


def summary(group):
    count = {}
    for test in group["tests"]:
        count[test["status"]] = count.get(test["status"], 0) + 1
    tests = ", ".join(f"{n} {status}" for status, n in count.items())
    return [group["name"], group["status"], tests, group.get("seconds", ""), group.get("why", "")]


def speeds(groups):
    rows = []
    for group in groups:
        for result in group["results"]:
            if "ms" in result:
                who = result.get("who", "tstitch") + (f", ratio {result['ratio']}" if "ratio" in result else "")
                others = ", ".join(f"{k} {v}" for k, v in result.items() if k not in ("ms", "who", "ratio", "model", "device"))
                rows.append([group.get("case") or group["name"], who, result["ms"], others])
    return rows


def failures(groups):
    text = ""
    for group in groups:
        for test in group["tests"]:
            if test["status"] not in ("passed", "skipped"):
                again = f"; again with {' and '.join(f'{k}={v}' for k, v in AGAIN.items())}: {test['again']}" if "again" in test else ""
                text += f"\n### {group['name']}: {test['test'] or 'the whole'}\n\n{test['status']}{again}\n"
                for details in (test.get("details"), test.get("details_again")):
                    text += f"\n```\n{details.strip()}\n```\n" if details else ""
    return text


def make(folder, ended):
    groups = groups_of(read_lines(os.path.join(folder, "lines.jsonl")))
    bad = [g["name"] for g in groups if g["status"] not in ("passed", "skipped", "left out")]
    whole = ended in (0, None) and bool(groups)
    with open(os.path.join(folder, "gpu_check.json"), "w") as file:
        json.dump({"whole": whole, "failed": bad, "groups": groups}, file, indent=1)
    machine = next((g["results"][0] for g in groups if g["name"] == "machine" and g["results"]), {})
    text = "# gpu_check\n\n"
    text += "".join(f"- {key}: {value}\n" for key, value in machine.items()) + "\n"
    text += f"**{len(bad)} of {len(groups)} groups failed**" + (f": {', '.join(bad)}" if bad else "") + "\n\n"
    text += "" if whole else f"The run did not come to its end (exit code {ended}).\n\n"
    text += table(["group", "status", "tests", "seconds", "why"], [summary(g) for g in groups])
    rows = speeds(groups)
    text += "\n## Speed\n\n" + table(["case", "who", "ms", ""], rows) if rows else ""
    text += "\n## Failures\n" + failures(groups) if bad else ""
    with open(os.path.join(folder, "gpu_check.md"), "w") as file:
        file.write(text)
    print(text)
    return 1 if bad or not whole else 0

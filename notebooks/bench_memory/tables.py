"""The tables of the report, each from the raw results alone."""

from __future__ import annotations

import numpy as np
from plan import PEERS, RAW, WRITERS
from records import Record, Records, difference, mib, ms, table

MODES = {
    "1 reader": {"threads": 1, "writing": False},
    "1 reader + writer": {"threads": 1, "writing": True},
    "16 readers + writer": {"threads": 16, "writing": True},
}


def p50(record: Record) -> float:
    return float(record["p50"])


def rate(record: Record) -> float:
    return float(record["writes"] / record["seconds"])


def recall_tables(records: Records) -> list[str]:
    cells = dict.fromkeys((record["n"], record["spaces"]) for record in records.where("asked"))
    return [_recall_table(records, n, spaces) for n, spaces in cells]


def _recall_table(records: Records, n: int, spaces: int) -> str:
    titles = [
        "",
        "load s",
        "recall@10",
        "CPU ms",
        *(f"{mode}: p50 / p95 ms" for mode in MODES),
        "ours ÷ theirs",
    ]
    rows = []
    for name in records.names("asked", n=n, spaces=spaces):
        cell = {"name": name, "n": n, "spaces": spaces}
        row = [name, f"{records.median('seconds', 'loaded', **cell) or 0.0:,.0f}"]
        row.append(f"{records.median('recall', 'loaded', **cell) or 0.0:.3f}")
        row.append(ms(records.median("cpu", "asked", **cell, **MODES["1 reader"])))
        for mode in MODES.values():
            middle, tail = (records.median(key, "asked", **cell, **mode) for key in ("p50", "p95"))
            row.append(f"{ms(middle)} / {ms(tail)}")
        ratio = records.ratio(p50, "ours", name, "asked", n=n, spaces=spaces, **MODES["1 reader"])
        row.append("1" if name == "ours" else ratio.said() if ratio else "–")
        rows.append(row)
    named = "namespace" if spaces == 1 else "namespaces"
    return f"**{n:,} items, {spaces} {named}**\n\n" + table(titles, rows)


def write_table(records: Records) -> str:
    rows = []
    for name in records.names("wrote", phase="writes"):
        found = records.where("wrote", phase="writes", name=name)
        ratio = records.ratio(rate, "ours", name, "wrote", phase="writes")
        middle = float(np.median([rate(record) for record in found]))
        rows.append([name, f"{middle:,.0f}", "1" if name == "ours" else ratio.said(3) if ratio else "–"])
    return table(["", "writes/s", "ours ÷ theirs"], rows)


def durable_table(records: Records) -> str:
    rows = []
    for name in records.names("killed"):
        kills = records.where("killed", name=name)
        acknowledged, lost = (sum(record[key] for record in kills) for key in ("acknowledged", "lost"))
        synced = records.where("synced", name=name)
        share = f"{synced[0]['syncs'] / synced[0]['writes']:.2f}" if synced else "–"
        rows.append([name, str(len(kills)), f"{acknowledged:,}", f"{lost:,}", share, verdict(records, name)])
    return table(["", "kills", "acknowledged", "lost", "syncs a write", "durable"], rows)


def verdict(records: Records, name: str) -> str:
    """Lost nothing to a kill, and synced before it acknowledged."""
    if any(records.values("lost", "killed", name=name)):
        return "no"
    synced = records.where("synced", name=name)
    if not synced:
        return "not known"
    return "yes" if synced[0]["syncs"] >= synced[0]["writes"] else "kill only"


def reopen_table(records: Records) -> str:
    rows = []
    for name in records.names("reopened"):
        found = {
            key: records.median(key, "reopened", name=name)
            for key in ("import_s", "open_s", "first_s", "rss_first", "rss", "anonymous")
        }
        whole = (found["open_s"] or 0.0) + (found["first_s"] or 0.0)
        sizes = [mib(found[key]) for key in ("rss_first", "rss", "anonymous")]
        rows.append([name, f"{found['import_s'] or 0.0:.2f}", f"{whole:.2f}", *sizes])
    titles = [
        "",
        "imports s",
        "open + first recall s",
        "RSS then, MiB",
        "RSS after 100 more",
        "of it anonymous",
    ]
    return table(titles, rows)


def quality_tables(records: Records) -> list[str]:
    made = []
    for corpus in dict.fromkeys(records.values("corpus", "quality")):
        depths = sorted(set(records.values("k", "quality", corpus=corpus)))
        rows = []
        for name in records.names("quality", corpus=corpus):
            row = [name]
            for k in depths:
                theirs = records.where("quality", corpus=corpus, name=name, k=k)[0]["shares"]
                ours = records.where("quality", corpus=corpus, name="ours", k=k)
                cell = f"{np.mean(theirs):.3f}"
                if ours and name != "ours":
                    gap = difference(ours[0]["shares"], theirs)
                    cell += f" ({gap.middle:+.3f}, {gap.least:+.3f}…{gap.greatest:+.3f})"
                row.append(cell)
            rows.append(row)
        n = len(records.where("quality", corpus=corpus)[0]["shares"])
        titles = [f"{corpus}, {n:,} questions", *(f"recall@{k}" for k in depths)]
        made.append(table(titles, rows))
    return made


def failures(records: Records) -> list[str]:
    """What was not run, and why; the same failure once."""
    said = {}
    for record in records.where("failed"):
        where = f", {record['n']:,} items" if "n" in record else ""
        where += f", {record['spaces']} namespaces" if record.get("spaces", 1) > 1 else ""
        said[f"{record['name']}, {record['phase']}{where}: {record['do']}: {record['why']}"] = None
    return list(said)


def unlocked(records: Records) -> str:
    """What mem0 does when 64 threads write at once and nobody makes them take turns."""
    rows = records.where("wrote", phase="durable")
    return "\n".join(f"- {row['name']}: {rate(row):,.0f} writes/s, no failure in this run" for row in rows)


def goals(records: Records) -> str:
    """What was asked for beside what was measured."""
    rows = [*_recall_goals(records), *_write_goals(records), *_reopen_goals(records)]
    return table(["goal", "measured", "met"], rows)


def _recall_goals(records: Records) -> list[list[str]]:
    rows = []
    for n, limit in ((100_000, 0.003), (1_000_000, 0.008)):
        idle = {"name": "ours", "n": n, "spaces": 1, **MODES["1 reader"]}
        wall, cpu = (records.median(key, "asked", **idle) for key in ("p50", "cpu"))
        right = records.median("recall", "loaded", name="ours", n=n, spaces=1)
        if wall is None or cpu is None or right is None:
            rows.append([f"recall at {n:,}", "not run", "–"])
            continue
        what = f"p50 {ms(wall)} ms wall on a shared core, {ms(cpu)} ms CPU"
        rows.append([f"recall at {n:,}: p50 ≤ {1000 * limit:.0f} ms", what, _met(wall <= limit)])
        rows.append([f"recall@10 of exact at {n:,} ≥ 0.95", f"{right:.3f}", _met(right >= 0.95)])
        for peer in (*PEERS, *RAW):
            ratio = records.ratio(p50, "ours", peer, "asked", n=n, spaces=1, **MODES["1 reader"])
            if ratio is None or (peer not in RAW and verdict(records, peer) != "yes"):
                continue
            most = 5.0 if peer in RAW else 1.0
            goal = (
                f"{n:,}: within 5× of {peer} + one read"
                if peer in RAW
                else f"{n:,}: ahead of {peer} (durable)"
            )
            rows.append([goal, ratio.said(), _met(ratio.middle <= most)])
    small, large = (
        records.median("p50", "asked", name="ours", n=n, spaces=1, **MODES["1 reader"])
        for n in (100_000, 1_000_000)
    )
    if small and large:
        rows.append(
            ["growth from 100,000 to 1,000,000 < 3×", f"{large / small:.2f}×", _met(large < 3.0 * small)]
        )
    return rows


def _write_goals(records: Records) -> list[list[str]]:
    rows = []
    for rival in (*WRITERS, *PEERS):
        ratio = records.ratio(rate, "ours", rival, "wrote", phase="writes")
        if ratio is not None:
            least = 0.3 if rival in WRITERS else 1.0
            goal = (
                f"writes/s, 64 threads: ≥ {least} of {rival}"
                if rival in WRITERS
                else f"writes: ahead of {rival}"
            )
            rows.append([goal, ratio.said(3), _met(ratio.middle >= least)])
    return rows


def _reopen_goals(records: Records) -> list[list[str]]:
    found = records.where("reopened", name="ours")
    if not found:
        return []
    n = found[0]["n"]
    whole = float(np.median([record["open_s"] + record["first_s"] for record in found]))
    rss = float(np.median([record["rss"] for record in found]))
    return [
        [f"reopening {n:,}: first recall within 3 s", f"{whole:.2f} s after imports", _met(whole <= 3.0)],
        [f"reopening {n:,}: RSS ≤ 1,229 MiB", f"{mib(rss)} MiB", _met(rss <= 1.2 * 2**30)],
    ]


def _met(yes: bool) -> str:
    return "yes" if yes else "**no**"

"""``python -m curation COMMAND``: run, verify, audit, export, demo, labels, withdraw, alignment, locate, config.

Enters: the words of a command line. Leaves: an exit code, a JSON summary on stdout. See `t3dkit.command`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t3dkit.command import Command, Program, existing_path, run_program
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress

Summary = dict[str, Any]


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    words = list(sys.argv[1:] if words is None else words)
    if words[:2] == ["config", "--print"]:
        # The one command whose product is its output: a JSON summary behind it would make it no TOML.
        from curation.config import default_toml

        print(default_toml(), end="")
        return 0
    return run_program(PROGRAM, words)


# run


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("export", help="folder or archive with DICOM (a demo export's folder works too)")
    parser.add_argument("--reports", required=True, help="file or folder with the reports")
    parser.add_argument(
        "--out", required=True, metavar="DATASET", help="folder of the data set; made or brought up to date"
    )
    parser.add_argument("--config", metavar="FILE", help="TOML; see `python -m curation config --print`")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, default=None, help="processes on this machine (default 1)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="address of a running Dask scheduler")
    parser.add_argument("--masks", metavar="DIR", help="organ masks by series UID, study UID or accession number")
    parser.add_argument("--key", metavar="FILE", help="pseudonym key (default: made once in DATASET.private/)")
    parser.add_argument("--retry", action="store_true", help="try again what met RESOURCE_LIMIT in two runs")


def _run(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from curation.config import read_config
    from curation.run import Options, run_curation

    workers = 1 if arguments.workers is None else arguments.workers  # no default: argparse would take 1 for not given
    if workers < 1:
        raise ConfigError(f"--workers must be at least 1, found {workers}")
    options = Options(
        export=existing_path(arguments.export, what="the export"),
        reports=existing_path(arguments.reports, what="the reports"),
        dataset=Path(arguments.out),
        workers=workers,
        scheduler=arguments.scheduler,
        masks=existing_path(arguments.masks, what="the mask folder") if arguments.masks else None,
        key=existing_path(arguments.key, what="the key file") if arguments.key else None,
        retry=arguments.retry,
    )
    config = read_config(existing_path(arguments.config, what="the configuration") if arguments.config else None)
    return run_curation(options, config, progress)


# verify


def _dataset_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", help="folder of the data set")


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    _dataset_argument(parser)
    parser.add_argument("--workers", type=int, default=1, help="processes that hash volumes (default 1)")
    parser.add_argument("--sample", type=int, metavar="N", help="read the voxels of N volumes only (default: of all)")
    parser.add_argument("--seed", type=int, default=0, help="which volumes a sample takes (default 0)")


def _verify(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from curation.verify import Depth, listed, verify_dataset

    if arguments.sample is not None and arguments.sample < 0:
        raise ConfigError(f"--sample must be at least 0, found {arguments.sample}")
    depth = Depth(arguments.sample, arguments.seed)
    findings, summary = verify_dataset(Path(arguments.dataset), workers=arguments.workers, depth=depth)
    for line in listed(findings):
        print(line, file=sys.stderr)
    return {"dataset": arguments.dataset, **summary, "exit_code": int(bool(findings))}


# audit


def _audit_arguments(parser: argparse.ArgumentParser) -> None:
    _dataset_argument(parser)
    parser.add_argument("--port", type=int, default=0, help="port on loopback (default: any free one)")
    parser.add_argument("--static", metavar="FILE", help="write one self-contained HTML file instead of serving")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; other than loopback needs TLS")
    parser.add_argument("--name", help="host name that browsers use, where it is not --host")
    parser.add_argument("--tls-cert", metavar="PEM", help="certificate (chain)")
    parser.add_argument("--tls-key", metavar="PEM", help="its private key")


def _audit(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from curation.contract import Dataset

    root = Path(arguments.dataset)
    Dataset.open(root)
    if arguments.static:
        from curation.audit.static import write_static

        return {"audit": str(arguments.static), **(write_static(root, Path(arguments.static), progress=progress))}
    from curation.audit.serve import Place, serve_audit

    place = Place(
        port=arguments.port,
        host=arguments.host,
        name=arguments.name,
        certificate=existing_path(arguments.tls_cert, what="the certificate") if arguments.tls_cert else None,
        certificate_key=existing_path(arguments.tls_key, what="the certificate's key") if arguments.tls_key else None,
    )
    return serve_audit(root, place=place, progress=progress)


# export


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    _dataset_argument(parser)
    parser.add_argument("--format", required=True, choices=("huggingface", "monai", "croissant"))
    parser.add_argument("--out", required=True, help="new folder")


def _export(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from curation.contract import Dataset
    from curation.export.croissant import export_croissant
    from curation.export.huggingface import export_huggingface
    from curation.export.monai import export_monai

    writers = {"huggingface": export_huggingface, "monai": export_monai, "croissant": export_croissant}
    return writers[arguments.format](Dataset.open(arguments.dataset), Path(arguments.out))


# demo


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", help="folder for the export")
    parser.add_argument("--studies", type=int, default=64, help="number of studies (default 64)")
    parser.add_argument("--seed", type=int, default=0, help="fixes every byte (default 0)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")


def _demo(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from curation.demo.export import write_demo

    if arguments.studies < 1 or arguments.workers < 1:
        raise ConfigError("--studies and --workers must be at least 1")
    return write_demo(
        Path(arguments.out),
        n_studies=arguments.studies,
        seed=arguments.seed,
        workers=arguments.workers,
        progress=progress,
    )


# labels


def _labels_arguments(parser: argparse.ArgumentParser) -> None:
    _dataset_argument(parser)
    parser.add_argument("labels", nargs="?", help="folder with <SeriesInstanceUID>.nii[.gz] and labels.json")
    parser.add_argument("--name", help="name of the label set, as organs or lesions")
    parser.add_argument("--findings", metavar="CSV", help="columns study_instance_uid, finding, value")


def _labels(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from curation.contract import Dataset
    from curation.labels import add_findings, add_label_maps

    dataset = Dataset.open(arguments.dataset)
    if bool(arguments.labels) != bool(arguments.name) or not (arguments.labels or arguments.findings):
        raise ConfigError("give LABELS with --name NAME, or --findings CSV, or both")
    summary: Summary = {"dataset": arguments.dataset}
    if arguments.labels:
        source = existing_path(arguments.labels, what="the label folder")
        summary |= add_label_maps(dataset, source, arguments.name, progress)
    if arguments.findings:
        summary |= add_findings(dataset, existing_path(arguments.findings, what="the table of findings"))
    return summary


# withdraw


def _withdraw_arguments(parser: argparse.ArgumentParser) -> None:
    _dataset_argument(parser)
    parser.add_argument("patients", help="file with one PatientID or patient_id a line, or - for standard input")


def _withdraw(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from curation.withdraw import withdraw_patients

    if arguments.patients == "-":
        text = sys.stdin.read()
    else:
        text = existing_path(arguments.patients, what="the list of patients").read_text(encoding="utf-8-sig")
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise ConfigError("the list of patients is empty: give one PatientID or patient_id a line")
    return {"dataset": arguments.dataset, **withdraw_patients(Path(arguments.dataset), names)}


# alignment, locate


def _alignment_arguments(parser: argparse.ArgumentParser) -> None:
    _dataset_argument(parser)
    parser.add_argument("--out", metavar="FILE", help="write the tables as Markdown")


def _alignment(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from curation.align.report import alignment_report, alignment_text
    from curation.contract import Dataset
    from t3dkit.atomic import write_text

    dataset = Dataset.open(Path(arguments.dataset))
    report = alignment_report({name: dataset.rows(name) for name in ("pairs", "volumes", "sentences", "regions")})
    if arguments.out:
        write_text(Path(arguments.out), "# Alignment\n\n" + alignment_text(report))
    return {"dataset": arguments.dataset, **report}


def _locate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("volume", help="NIfTI, Hounsfield units")
    parser.add_argument("--out", required=True, metavar="PNG", help="the picture")
    parser.add_argument("--regions", metavar="A,B,...", help="which to draw (default: the large organs found)")


def _locate(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from curation.align.picture import picture_of_volume

    wanted = tuple(filter(None, (arguments.regions or "").split(",")))
    volume = existing_path(arguments.volume, what="the volume")
    return {"picture": arguments.out, **picture_of_volume(volume, Path(arguments.out), wanted)}


# config


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--print", action="store_true", dest="print_", help="print every key with its default, explained"
    )
    parser.add_argument("--check", metavar="FILE", help="check a configuration")


def _config(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from curation.config import read_config

    if not arguments.check:
        raise ConfigError("give --print for the commented defaults, or --check FILE")
    config = read_config(existing_path(arguments.check, what="the configuration"))
    return {"config": arguments.check, "digest": config.digest()}


PROGRAM = Program(
    "curation",
    "Raw DICOM export and radiology reports in, a verified data set of report-volume pairs out.",
    (
        Command(
            "run",
            "curate an export into a data set, or bring one up to date",
            _run_arguments,
            _run,
            "Curate an export: index, link, convert, section, locate, split, write, verify.\n"
            "Run again after an interruption, or when the export has grown: only what is new is done.\n\n"
            "  python -m curation run /data/export --reports /data/reports.csv --out /data/set --workers 8\n\n"
            "What identifies stays in /data/set.private; back it up, never hand it on.",
        ),
        Command(
            "verify",
            "prove the promises of a data set; exit 1 and a list when one breaks",
            _verify_arguments,
            _verify,
            "Check counts, ids, hashes, geometry, spans, boxes, splits, reasons, and search every byte for the\n"
            "identifiers in the private folder (where it is there).\n\n  python -m curation verify /data/set",
        ),
        Command(
            "audit",
            "look at the pairs in a browser, or write them to one HTML file",
            _audit_arguments,
            _audit,
            "Serve the audit pages on this machine only, or write a static page.\n\n"
            "  python -m curation audit /data/set\n  python -m curation audit /data/set --static audit.html",
        ),
        Command(
            "export",
            "write a hand-over folder for Hugging Face, MONAI or Croissant",
            _export_arguments,
            _export,
            "Write the pairs that no verdict excludes in another project's format.\n\n"
            "  python -m curation export /data/set --format monai --out /data/handover",
        ),
        Command(
            "demo",
            "write a synthetic hospital export, with its truth",
            _demo_arguments,
            _demo,
            "Write OUT/dicom, OUT/reports.csv and OUT/truth/.\n\n  python -m curation demo /tmp/demo --studies 8",
        ),
        Command(
            "labels",
            "put label maps or findings beside the volumes, for evaluation",
            _labels_arguments,
            _labels,
            "Resample label maps onto the volumes' grids, or add findings per study.\n\n"
            "  python -m curation labels /data/set /tmp/demo/truth/organs --name organs\n"
            "  python -m curation labels /data/set --findings /tmp/demo/truth/findings.csv",
        ),
        Command(
            "withdraw",
            "remove patients who took their consent back, now and from every later run",
            _withdraw_arguments,
            _withdraw,
            "Remove the pairs, volumes, texts and labels of patients, and keep their studies out of every later run.\n"
            "Names come from a file, so that no identifier stays in the shell's history.\n\n"
            "  python -m curation withdraw /data/set withdrawn.txt",
        ),
        Command(
            "alignment",
            "how often sentences are located, by section, region and source",
            _alignment_arguments,
            _alignment,
            "Count what is located in a data set, and how far lengths and image pointers in the text agree with the\n"
            "boxes. It needs no label, and its figures hold no text.\n\n"
            "  python -m curation alignment /data/set --out alignment.md",
        ),
        Command(
            "locate",
            "find the regions of one volume and draw their boxes",
            _locate_arguments,
            _locate,
            "Run the landmark localizer on a CT volume, draw boxes on three planes, list what was found.\n\n"
            "  python -m curation locate volume.nii.gz --out boxes.png --regions liver,spleen",
        ),
        Command(
            "config",
            "print or check a configuration",
            _config_arguments,
            _config,
            "  python -m curation config --print > curation.toml\n  python -m curation config --check curation.toml",
        ),
    ),
)

if __name__ == "__main__":
    raise SystemExit(main())

"""The stage of one study: its files and report in, its volumes and rows out.

Enters: a `StudySpec`, written by the driver into the private folder. Leaves: volumes in the data set, and the rows
of every table that this study adds, as plain JSON values. Refuses to know anything of other studies or of Dask.

The stage is deterministic: files are taken in order of name, ids are derived from parents, nothing asks the clock.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from curation.absent import gaps_of
from curation.align.reasons import AlignFlag
from curation.config import Config
from curation.contract import affine_of
from curation.index import stamp_of
from curation.narrative import Narrative, read_narrative
from curation.pseudonyms import read_key
from curation.reasons import DropReason, PairFlag
from curation.spec import StudySpec
from curation.suspicion import WEIGHTS, judge_pair
from curation.terms import known_kernel, known_vendor, with_known_terms
from curation.uids import with_uids
from reports.deid.recogniser import NameModel
from reports.profiles import NO_PROFILE, Profile, read_profile
from t3dkit.errors import DataError
from t3dkit.verdict import Code, Dropped, Repair
from volumes.gaps import Gaps
from volumes.reasons import DropReason as FileReason
from volumes.reasons import Flag
from volumes.records import FileDrop, FileRef, Grid, Instance, Stack, Volume

Row = dict[str, Any]


def process_study(spec_path: str) -> Row:
    """Curate one study; runs in a worker.

    Returns
    -------
    dict
        Rows by table (series, volumes, reports, sentences, regions, pairs, dropped); JSON values only.
    """
    spec = StudySpec(**json.loads(Path(spec_path).read_text(encoding="utf-8")))
    return _Study(spec).run()


class _Study:
    """One study at work: collects rows."""

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec
        self.config = Config.model_validate(spec.config)
        self.pseudonyms = read_key(Path(spec.key_path))
        self.rows: dict[str, list[Row]] = {
            table: []
            for table in ("series", "volumes", "reports", "sentences", "regions", "pairs", "dropped", "suspicions")
        }
        self.series_uids: dict[str, str] = {}
        self.lost: dict[str, list[FileDrop]] = defaultdict(list)
        self.narratives: list[Narrative] = []
        self.opposed: dict[tuple[str, str], str] = {}  # report and volume that disagree on a side -> what on

    def run(self) -> Row:
        instances = self._read_headers()
        self.narratives = self._read_reports(instances)
        written = self._write_volumes(instances, wanted=bool(self.narratives))
        self._pair(self.narratives, written)
        crosswalk = [
            ["series", uid, self.pseudonyms.of("series", uid)]
            for uid in sorted({i.series_instance_uid for i in instances})
        ]
        crosswalk += [["volume", uid, volume_id] for volume_id, uid in sorted(self.series_uids.items())]
        return {**self.rows, "crosswalk": crosswalk, "n_files": len(self.spec.files)}

    # headers

    def _read_headers(self) -> list[Instance]:
        from volumes.index import read_instance

        instances = []
        for name, path, members, size, is_salvaged, series_uid, stamp in self.spec.files:
            ref = FileRef(name=name, path=path, members=tuple(members), size_bytes=size, is_salvaged=is_salvaged)
            answer: Instance | FileDrop = FileDrop(ref, FileReason.UNSTABLE_INPUT)
            if stamp_of(ref) == stamp:
                answer = read_instance(ref, may_lack_uids=name in self.spec.uids)
            if isinstance(answer, Instance):
                instances.append(with_known_terms(with_uids(answer, self.spec.uids.get(name))))
            else:
                self.lost[series_uid].append(answer)
                self._drop("reread", "file", self.pseudonyms.of("file", name), answer.reason, answer.detail)
        return instances

    # reports

    def _read_reports(self, instances: Sequence[Instance]) -> list[Narrative]:
        known = {(kind, value) for instance in instances for kind, value in instance.identifiers}
        known |= {(kind, value) for kind, value in self.spec.known}
        narratives = []
        for report in self.spec.reports:
            outcome = read_narrative(
                report,
                known=sorted(known),
                shift_days=self.pseudonyms.shift_days(self.spec.issuer, self.spec.patient_id),
                seed=self.pseudonyms.seed(self.spec.issuer, self.spec.patient_id),
                language=self.config.reports.language or None,
                profile=_profile(self.spec.profile),
                name_model=self._name_model(),
            )
            if isinstance(outcome, Dropped):
                self._drop("pairs", "pair", self.pair_id(report["report_id"], ""), outcome.reason, outcome.detail)
            else:
                narratives.append(outcome)
        return narratives

    def _name_model(self) -> NameModel | None:
        where = self.spec.name_model  # the configuration in the specification names it by its content
        return NameModel(where, self.config.deid.name_labels) if where else None

    # volumes

    def _write_volumes(self, instances: Sequence[Instance], *, wanted: bool) -> list[tuple[Row, Any, Stack]]:
        from volumes.select import rank_stacks
        from volumes.siblings import flag_cropped
        from volumes.stacks import StackPolicy, build_stacks, describe_geometry

        by_series: dict[str, list[Instance]] = defaultdict(list)
        for instance in instances:
            if instance.kind == "image":
                by_series[instance.series_instance_uid].append(instance)
        stacks: list[Stack] = []
        policy = StackPolicy(irregular=self.config.volumes.irregular, min_slices=self.config.volumes.min_slices)
        for uid, members in sorted(by_series.items()):
            outcome = build_stacks(members, policy, gaps=self._gaps(uid))
            stacks += outcome.stacks
            for drop in outcome.dropped:
                self._series(drop.series_instance_uid, drop.index, drop.modality, drop.n_instances, drop.geometry)
                self._close_series(self.rows["series"][-1], drop.reason, drop.detail, stage="stacks")
        ranked = rank_stacks(flag_cropped(stacks), self._preferences())
        written: list[tuple[Row, Any, Stack]] = []
        for choice in ranked:
            stack = choice.stack
            row = self._series(
                stack.series_instance_uid, stack.index, stack.head.modality, len(stack.slices), describe_geometry(stack)
            )
            row |= {"rank": choice.rank, "rank_reasons": list(choice.reasons)}
            self._take(choice, row, written, wanted=wanted)
        return written

    def _gaps(self, uid: str) -> Gaps:
        """What is missing from a series: by the index, and of what the index still found."""
        gaps = gaps_of(self.spec.absent.get(uid))
        return replace(gaps, lost=[*gaps.lost, *self.lost.get(uid, ())])

    def _take(self, choice: Any, row: Row, written: list[tuple[Row, Any, Stack]], *, wanted: bool) -> None:
        from volumes.convert import convert_stack

        if not wanted or not choice.usable or len(written) >= self.config.volumes.per_study:
            row["verdict"] = "not_selected"
            self._drop("select", "series", self._stack_id(row), FileReason.NOT_SELECTED, "")
            row["reason"] = str(FileReason.NOT_SELECTED)
            return
        grid = Grid(self.config.grid.spacing_xyz_mm, self.config.grid.hu_range)
        verdict = convert_stack(choice.stack, grid)
        if isinstance(verdict, Dropped):
            self._close_series(row, verdict.reason, verdict.detail, stage="convert")
            return
        volume = verdict.value
        location = self._locate(volume, choice.stack)
        covered = self._cover_face(volume, location)
        if covered is None:
            self._close_series(row, DropReason.FACE_VISIBLE, "", stage="convert")
            return
        volume, location = covered
        row["verdict"] = "kept"
        self.rows["regions"] += [_region(self._volume_id(choice.stack), box, None) for box in location.boxes]
        written.append((self._volume(volume, choice.stack, row, location, verdict.repairs), location, choice.stack))
        self._compare_sides(volume, self._volume_id(choice.stack), location)

    def _compare_sides(self, volume: Volume, volume_id: str, location: Any) -> None:
        """Note where the images show a finding on the other side than a report."""
        import numpy as np

        from curation.suspicion.sides import opposite_sides, pointed_row

        if volume.modality != "CT":
            return
        boxes = {box.region: (np.array(box.start_ijk), np.array(box.stop_ijk)) for box in location.boxes}
        spacing_mm = np.linalg.norm(volume.affine_ras[:3, :3], axis=0)
        row_of = pointed_row(volume.slice_map, volume.affine_ras, volume.data.shape)
        for narrative in self.narratives:
            found = opposite_sides(narrative.sentence_rows(""), volume.data, spacing_mm, boxes, row_of)
            if found is not None:
                self.opposed[narrative.report_id, volume_id] = found

    def _volume(self, volume: Volume, stack: Stack, series: Row, location: Any, repairs: Sequence[Repair]) -> Row:
        from volumes.nifti import write_volume

        volume_id = self._volume_id(stack)
        relative = f"volumes/{volume_id[:2]}/{volume_id}.{self.config.volumes.format}"
        sha256 = write_volume(volume, Path(self.spec.dataset) / relative)
        affine = volume.affine_ras
        noted = dict.fromkeys((repair.code, repair.detail) for repair in (*stack.repairs, *volume.repairs, *repairs))
        row = {
            "volume_id": volume_id,
            "study_id": self.spec.study_id,
            "series_id": series["series_id"],
            "path": relative,
            "sha256": sha256,
            "shape_ijk": [int(n) for n in volume.data.shape],
            "spacing_mm": [float((affine[:3, axis] ** 2).sum() ** 0.5) for axis in range(3)],
            "affine_ras": [float(number) for number in affine.ravel()],
            "modality": volume.modality,
            "body_regions": sorted(location.body_regions),
            "n_slices_source": volume.n_slices_source,
            "spacing_source_mm": [float(number) for number in volume.spacing_source_mm],
            "kernel": known_kernel(volume.kernel),
            "vendor": known_vendor(volume.vendor),
            "contrast": _contrast(stack.head.contrast_bolus_agent),
            "patient_sex": stack.head.patient_sex if stack.head.patient_sex in ("M", "F", "O") else None,
            "repairs": [{"code": str(code), "detail": detail} for code, detail in noted]
            + [{"code": str(flag), "detail": ""} for flag in location.flags],
            "slice_map": {
                "series_number": volume.slice_map.series_number,
                "instance_number": [int(number) for number in volume.slice_map.instance_number],
                "position_mm": [float(number) for number in volume.slice_map.position_mm],
                "normal_lps": [float(number) for number in volume.slice_map.normal_lps],
            },
            "hu_percentiles": [float(number) for number in volume.hu_percentiles],
            "padding_fraction": float(volume.padding_fraction),
        }
        self.rows["volumes"].append(row)
        self.series_uids[volume_id] = f"{stack.series_instance_uid}\x1f{stack.index}"
        return row

    def _cover_face(self, volume: Volume, location: Any) -> tuple[Volume, Any] | None:
        """The volume as it may be released, with what is still shown; None where it must not be."""
        from curation.align.face import face_boxes, remove_face

        policy = self.config.deid.faces
        if policy == "keep" or not face_boxes(location):
            return volume, location
        defaced = remove_face(volume.data, volume.affine_ras, location) if policy == "remove" else None
        if defaced is None:
            return None
        flag = Repair(AlignFlag.FACE_REMOVED, f"{100 * defaced.share:.1f}% of the body's voxels")
        return replace(volume, data=defaced.data, repairs=(*volume.repairs, flag)), defaced.location

    def _locate(self, volume: Volume, stack: Stack) -> Any:
        from curation.align.locate import locate_regions
        from curation.align.masks import find_label_map
        from volumes.classify import named_parts

        mask = None
        flags: tuple[Code, ...] = ()
        if self.spec.masks:
            keys = [stack.series_instance_uid, self.spec.study_uid, *self.spec.accessions, self._volume_id(stack)]
            try:
                mask = find_label_map(Path(self.spec.masks), keys)
            except DataError:  # one bad mask costs its boxes, not its study
                flags = (PairFlag.MASK_UNREADABLE,)
        location = locate_regions(volume.data, volume.affine_ras, modality=volume.modality, mask=mask)
        named = named_parts(stack.head)
        if named and location.body_regions and named.isdisjoint(location.body_regions):
            flags = (*flags, Flag.BODYPART_MISMATCH)
        return replace(location, flags=(*location.flags, *map(str, flags)))

    # pairs

    def _pair(self, narratives: Sequence[Narrative], written: Sequence[tuple[Row, Any, Stack]]) -> None:
        for narrative in narratives:
            if not written:
                self._drop("pairs", "pair", self.pair_id(narrative.report_id, ""), DropReason.NO_VOLUME, "")
                continue
            pair_ids = []
            for volume, location, _stack in written:
                pair_id = self.pair_id(narrative.report_id, volume["volume_id"])
                pair_ids.append(pair_id)
                pointed = self._point(narrative, volume, location)
                self.rows["pairs"].append(self._pair_row(narrative, volume, location, pair_id, pointed))
            self.rows["reports"].append(narrative.report_row(pair_ids[0]))
            self.rows["sentences"] += narrative.sentence_rows(pair_ids[0])

    def _point(self, narrative: Narrative, volume: Row, location: Any) -> set[str]:
        """Add the boxes of sentences that point at an image; returns those sentences."""
        from curation.align.pointers import pointer_box

        boxes = {box.region: box for box in location.boxes}
        pointed = set()
        for row in narrative.sentence_rows(""):
            if row["image_pointer"] is None:
                continue
            named = next((boxes[region] for region in row["regions"] if region in boxes), None)
            box = pointer_box(
                row["image_pointer"], volume["slice_map"], affine_of(volume), volume["shape_ijk"], region_box=named
            )
            if box is not None:
                self.rows["regions"].append(_region(volume["volume_id"], box, row["sentence_id"]))
                pointed.add(row["sentence_id"])
        return pointed

    def _pair_row(self, narrative: Narrative, volume: Row, location: Any, pair_id: str, pointed: set[str]) -> Row:
        located = {box.region for box in location.boxes}
        sentences = narrative.sentence_rows(pair_id)
        n_located = sum(row["sentence_id"] in pointed or bool(located & set(row["regions"])) for row in sentences)
        opened = (
            [PairFlag.UNUSED_STACK] if any(row["reason"] and row["rank"] == 1 for row in self.rows["series"]) else []
        )
        opposed = self.opposed.get((narrative.report_id, volume["volume_id"]))
        if opposed is not None:
            opened.append(PairFlag.SIDE_ELSEWHERE)
            self.rows["suspicions"].append(
                {"pair_id": pair_id, "code": str(PairFlag.SIDE_ELSEWHERE), "severity": "", "detail": opposed}
            )
        flags, suspicion = judge_pair(
            confidence=narrative.confidence,
            n_sentences=len(sentences),
            n_located=n_located,
            flags=[*narrative.flags, *location.flags, *opened, *_worth_a_look(volume["repairs"])],
        )
        return {
            "pair_id": pair_id,
            "patient_id": self.pseudonyms.patient(self.spec.issuer, self.spec.patient_id),
            "study_id": self.spec.study_id,
            "report_id": narrative.report_id,
            "volume_id": volume["volume_id"],
            "link_rule": narrative.rule,
            "link_confidence": narrative.confidence,
            "n_sentences": len(sentences),
            "n_located": n_located,
            "flags": flags,
            "suspicion": suspicion,
            "verdict": None,
        }

    # rows

    def pair_id(self, report_id: str, volume_id: str) -> str:
        return self.pseudonyms.of("pair", self.spec.study_id, report_id, volume_id)

    def _volume_id(self, stack: Stack) -> str:
        return self.pseudonyms.of("volume", stack.series_instance_uid, str(stack.index))

    def _series(self, uid: str, index: int, modality: str | None, n_instances: int, geometry: str) -> Row:
        row: Row = {
            "study_id": self.spec.study_id,
            "series_id": self.pseudonyms.of("series", uid),
            "stack": index,
            "modality": modality,
            "n_instances": n_instances,
            "geometry": geometry,
            "verdict": None,
            "reason": None,
            "rank": None,
            "rank_reasons": [],
        }
        self.rows["series"].append(row)
        return row

    def _close_series(self, row: Row, reason: Any, detail: str, *, stage: str) -> None:
        row |= {"verdict": "dropped", "reason": str(reason)}
        self._drop(stage, "series", self._stack_id(row), reason, detail)

    def _stack_id(self, row: Row) -> str:
        return f"{row['series_id']}-{row['stack']}"

    def _drop(self, stage: str, kind: str, item_id: str, reason: Any, detail: str) -> None:
        self.rows["dropped"].append(
            {"stage": stage, "kind": kind, "item_id": item_id, "reason": str(reason), "detail": detail}
        )

    def _preferences(self) -> Any:
        from volumes.select import Preferences

        chosen = self.config.volumes
        return Preferences(modality=chosen.modality, min_slices=chosen.min_slices, **self.config.select.model_dump())


@cache
def _profile(path: str | None) -> Profile:
    return read_profile(Path(path)) if path else NO_PROFILE


def _region(volume_id: str, box: Any, sentence_id: str | None) -> Row:
    return {
        "volume_id": volume_id,
        "region": box.region,
        "source": box.source,
        "start_ijk": [int(n) for n in box.start_ijk],
        "size_ijk": [int(n) for n in box.size_ijk],
        "confidence": float(box.confidence),
        "sentence_id": sentence_id,
    }


def _worth_a_look(repairs: Sequence[Row]) -> list[str]:
    """Flags, and the repairs that rest on a guess; the others are part of every day."""
    flags = {str(flag) for flag in Flag}
    return [row["code"] for row in repairs if row["code"] in flags or row["code"] in WEIGHTS]


def _contrast(agent: str | None) -> str | None:
    if not agent:
        return None
    return (
        "without" if re.fullmatch(r"(?i)\W*(no|none|non|without|ohne|native|oral contrast: no)\W*", agent) else "with"
    )

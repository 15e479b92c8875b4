"""Parquet files as pyarrow writes them, and the same rows as JSON Lines: tests/vectors/parquet.

Run with pyarrow: python tests/python/make_parquet.py
"""

import datetime as dt
import decimal
import gzip
import json
import math
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

OUT = pathlib.Path(__file__).parent.parent / "vectors" / "parquet"


def plain(value, in_list=False):
    """A value as JSON has it: isoformat for dates and times, null for what is no number, str for decimals, but numbers in lists."""
    if isinstance(value, dict):
        return {key: plain(item, in_list) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, True) for item in value]
    if isinstance(value, decimal.Decimal):
        return int(value) if value.as_tuple().exponent == 0 else float(value) if in_list else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    # Times with nanoseconds are pandas' own, where pandas is there.
    return value.isoformat() if hasattr(value, "isoformat") else value


def write(name, table, as_read=lambda row: row, **options):
    options = {"store_schema": False, "write_statistics": False, **options}
    pq.write_table(table, OUT / f"{name}.parquet", **options)
    rows = [plain(as_read(row)) for row in table.to_pylist()]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if len(lines) < 4000:
        (OUT / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    else:
        (OUT / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))


def features(**columns):
    """The metadata that `datasets` writes."""
    return {"huggingface": json.dumps({"info": {"features": columns}})}


def labels():
    text = pa.array(["the play was good", "it was bad", "it was good", "the play was bad"])
    label = {"names": ["positive", "negative"], "_type": "ClassLabel"}
    table = pa.table({"text": text, "label": pa.array([0, 1, 0, 1])})
    write("labels", table.replace_schema_metadata(features(text={"dtype": "string", "_type": "Value"}, label=label)),
          store_schema=True)
    tags = {"feature": {"names": ["O", "B-PER", "B-LOC"], "_type": "ClassLabel"}, "length": -1, "_type": "Sequence"}
    table = pa.table({
        "tokens": [["Mia", "lives", "in", "Paris"], ["The", "sea"]],
        "ner_tags": pa.array([[1, 0, 0, 2], [0, 0]], pa.list_(pa.int8())),
    })
    write("tags", table.replace_schema_metadata(features(ner_tags=tags)), store_schema=True, compression="zstd")


def nested():
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    answers = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
    table = pa.table({
        "answers": pa.array([{"text": ["a", "b"], "answer_start": [0, 7]}, {"text": [], "answer_start": []}, None,
                             {"text": None, "answer_start": [1]}], answers),
        "translation": pa.array([{"en": "the sea", "de": "das Meer"}, {"en": None, "de": "x"}, None,
                                 {"en": "é", "de": ""}], pa.struct([("en", pa.string()), ("de", pa.string())])),
        "messages": pa.array([[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}], [], None,
                              [{"role": "user", "content": None}, None]], pa.list_(message)),
        "deep": pa.array([[[["a"], []], None], [], [[]], [[None, ["b", None, "c"]], [["d"]]]],
                         pa.list_(pa.list_(pa.list_(pa.string())))),
        "scores": pa.array([[("x", 1), ("y", None)], [], None, [("z", 3)]], pa.map_(pa.string(), pa.int64())),
        "pair": pa.array([[1, 2], [3, 4], [5, 6], [7, 8]], pa.list_(pa.int16(), 2)),
        "inner": pa.array([{"a": {"b": [{"c": 1}, {"c": None}]}}, {"a": {"b": []}}, {"a": None}, None],
                          pa.struct([("a", pa.struct([("b", pa.list_(pa.struct([("c", pa.int64())])))]))])),
    })

    def with_object(row):
        """Lists of pairs, as pyarrow gives maps, are objects."""
        return row | {"scores": None if row["scores"] is None else dict(row["scores"])}

    write("nested", table, with_object, row_group_size=3, compression="gzip", write_page_checksum=True)
    pq.write_table(table, OUT / "nested-v2.parquet", store_schema=False, data_page_version="2.0", compression="snappy", data_page_size=1, write_batch_size=1)


def types():
    utc = dt.timezone.utc
    day = dt.datetime(2024, 2, 29, 12, 34, 56, 789000)
    columns = {
        "bool": pa.array([True, False, None]),
        "int8": pa.array([-128, 127, None], pa.int8()),
        "uint8": pa.array([255, 0, None], pa.uint8()),
        "uint32": pa.array([4294967295, 0, None], pa.uint32()),
        "uint64": pa.array([18446744073709551615, 0, None], pa.uint64()),
        "int64": pa.array([-(2**63), 2**63 - 1, None], pa.int64()),
        "half": pa.array([0.333251953125, -2.0, None], pa.float16()),
        "float": pa.array([0.1, math.nan, None], pa.float32()),
        "double": pa.array([0.1, -math.inf, None], pa.float64()),
        "date": pa.array([dt.date(2024, 2, 29), dt.date(1969, 12, 31), None], pa.date32()),
        "time": pa.array([dt.time(1, 2, 3, 4000), dt.time(0), None], pa.time64("us")),
        "seconds": pa.array([day.replace(microsecond=0), dt.datetime(1969, 12, 31, 23, 59, 59), None],
                            pa.timestamp("s")),
        "millis": pa.array([day, dt.datetime(1, 1, 1), None], pa.timestamp("ms")),
        "micros": pa.array([day.replace(tzinfo=utc), dt.datetime(9999, 12, 31, tzinfo=utc), None],
                           pa.timestamp("us", "UTC")),
        "small decimal": pa.array([decimal.Decimal("1.20"), decimal.Decimal("-0.05"), None], pa.decimal128(4, 2)),
        "decimal": pa.array([decimal.Decimal("123456789012345678901.5"), decimal.Decimal("-1.0"), None],
                            pa.decimal128(38, 1)),
        "whole": pa.array([decimal.Decimal(12), decimal.Decimal(-3), None], pa.decimal128(20, 0)),
        "category": pa.array(["a", "b", None]).dictionary_encode(),
        "large": pa.array(["naïve", "", None], pa.large_string()),
        "nothing": pa.nulls(3),
        "raw": pa.array([b"\xff\0", b"", None]),
        "image": pa.array([{"bytes": b"x", "path": "a.png"}, None, {"bytes": None, "path": None}],
                          pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    }

    def without_bytes(row):
        image = row["image"] and {"path": row["image"]["path"]}
        return {key: value for key, value in row.items() if key != "raw"} | {"image": image}

    write("types", pa.table(columns), without_bytes)


def encodings():
    words = ["sea", "seaside", "season", "", "the", "then", "their", "a" * 20]
    count = 200
    table = pa.table({
        "prefix": [words[i % 8] + str(i // 8) for i in range(count)],
        "length": [words[i * 7 % 8] if i % 5 else None for i in range(count)],
        "delta": [i * i - 7 * i for i in range(count)],
        "split": [i / 7 for i in range(count)],
        "flag": [i % 3 == 0 if i % 4 else None for i in range(count)],
        "list": [list(range(i % 4)) if i % 6 else None for i in range(count)],
    })
    encodings = {
        "prefix": "DELTA_BYTE_ARRAY", "length": "DELTA_LENGTH_BYTE_ARRAY", "delta": "DELTA_BINARY_PACKED",
        "split": "BYTE_STREAM_SPLIT", "flag": "RLE", "list.list.element": "PLAIN",
    }
    write("encodings", table, use_dictionary=False, column_encoding=encodings, compression="zstd", row_group_size=170,
          data_page_size=300, write_batch_size=20)


def main():
    OUT.mkdir(exist_ok=True)
    labels()
    nested()
    types()
    encodings()
    pq.write_table(pa.table({"text": ["a"]}), OUT / "lz4.parquet", compression="lz4", store_schema=False)
    pq.write_table(pa.table({"image": [b"\xff"]}), OUT / "binary.parquet", store_schema=False)
    print(sum(path.stat().st_size for path in OUT.iterdir()), "bytes")


main()

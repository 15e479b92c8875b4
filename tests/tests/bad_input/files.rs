//! Files of rows that cannot be read.

use std::fs;

use peft_tests::vectors;

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    #[cfg(unix)]
    Case {
        name: "rows of a device without an end",
        build: |dir| {
            model(dir, "gpt2");
            words("eval --model model --data /dev/zero")
        },
        says: &["cannot read /dev/zero: it is a device, expected a file or a pipe"],
        ..CASE
    },
    Case {
        name: "missing data file",
        build: |dir| {
            model(dir, "gpt2");
            train("--train nothing.jsonl")
        },
        says: &["cannot read nothing.jsonl", "No such file"],
        ..CASE
    },
    Case {
        name: "data file of an unknown kind",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.xml"), "<a>").unwrap();
            train("--train rows.xml")
        },
        says: &["rows.xml: found extension .xml, expected .jsonl"],
        ..CASE
    },
    Case {
        name: "Parquet file that was cut off",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.parquet"), "PAR1 and no more").unwrap();
            train("--train rows.parquet")
        },
        says: &[
            "rows.parquet: is Parquet, but its end is missing: the file is cut off; fetch it again",
        ],
        ..CASE
    },
    Case {
        name: "Parquet file that is another file",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.parquet"), "404: not found").unwrap();
            train("--train rows.parquet")
        },
        says: &["rows.parquet: has the name of a Parquet file, but does not begin as one"],
        ..CASE
    },
    Case {
        name: "encrypted Parquet file",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.parquet"), "PARE....PARE").unwrap();
            train("--train rows.parquet")
        },
        says: &["rows.parquet: is encrypted Parquet, expected", ": write it without encryption"],
        ..CASE
    },
    Case {
        name: "Parquet file compressed in a way that is not read",
        build: |dir| {
            model(dir, "gpt2");
            fs::copy(vectors("parquet/lz4.parquet"), dir.join("rows.parquet")).unwrap();
            train("--train rows.parquet")
        },
        says: &[
            "rows.parquet: column `text` is compressed with LZ4_RAW, expected snappy, gzip or zstd",
            "compression=\"zstd\"",
        ],
        ..CASE
    },
    Case {
        name: "Parquet file of pictures",
        build: |dir| {
            model(dir, "gpt2");
            fs::copy(vectors("parquet/binary.parquet"), dir.join("rows.parquet")).unwrap();
            train("--train rows.parquet")
        },
        says: &["rows.parquet: has no column of text or numbers"],
        ..CASE
    },
    Case {
        name: "shard of a data set that is missing",
        build: |dir| {
            model(dir, "gpt2");
            fs::create_dir(dir.join("rows")).unwrap();
            fs::write(dir.join("rows/train-00001-of-00002.jsonl"), "{}").unwrap();
            train("--train rows")
        },
        says: &["train-00000-of-00002.jsonl: is missing: of the data set's 2 files 1 are there"],
        ..CASE
    },
    Case {
        name: "standard input for two things",
        build: |dir| {
            model(dir, "gpt2");
            train("--train - --valid -")
        },
        says: &["--valid: found -, standard input, which --train reads already: give a file"],
        ..USAGE
    },
    Case {
        name: "a file of rows that is named twice",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.jsonl"), "{\"text\": \"a\"}").unwrap();
            train("--train rows.jsonl --train rows.jsonl")
        },
        says: &["rows.jsonl: is named twice; its rows would be read twice"],
        ..CASE
    },
    Case {
        name: "folder with the same rows in two formats",
        build: |dir| {
            model(dir, "gpt2");
            fs::create_dir(dir.join("rows")).unwrap();
            fs::write(dir.join("rows/a.jsonl"), "{}").unwrap();
            fs::write(dir.join("rows/a.csv"), "a\n").unwrap();
            train("--train rows")
        },
        says: &["rows: is a folder with a.csv and a.jsonl, which seem to be the same rows"],
        ..CASE
    },
    Case {
        name: "empty data file",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "");
            train("")
        },
        says: &["rows.jsonl: holds no records"],
        ..CASE
    },
    Case {
        name: "a line that is not JSON",
        build: |dir| {
            pair(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1], \"labels\": [1]}\n\n{\"input_ids\": [1], \"lab\n");
            eval()
        },
        says: &["rows.jsonl, line 3: not a JSON object", "column"],
        ..CASE
    },
    Case {
        name: "a line that is JSON but no object",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1]}\n[1, 2]\n");
            forward()
        },
        says: &["rows.jsonl, line 2: found an array of 2 values, expected a JSON object"],
        ..CASE
    },
    Case {
        name: "text that is not UTF-8",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.jsonl"), b"{\"input_ids\": [1]}\n{\"text\": \"\xff\"}\n")
                .unwrap();
            forward()
        },
        says: &["rows.jsonl, line 2", "not UTF-8", "0xff"],
        ..CASE
    },
    Case {
        name: "CSV row with a field too few",
        build: |dir| {
            model(dir, "bert");
            fs::write(dir.join("rows.csv"), "text,label\nthe sea,a\nblue\n").unwrap();
            classify("--train rows.csv")
        },
        says: &["rows.csv, line 3: found 1 fields, expected the header's 2: text, label"],
        ..CASE
    },
    Case {
        name: "quotes that backslashes stand in front of",
        build: |dir| {
            model(dir, "bert");
            fs::write(dir.join("rows.csv"), "text,label\n\"say \\\"the\\\", sea\",1\n").unwrap();
            classify("--train rows.csv")
        },
        says: &["rows.csv, line 2: a quote in a field is written with a backslash (\\\")"],
        ..CASE
    },
    Case {
        name: "quoted lines in a TSV file",
        build: |dir| {
            model(dir, "bert");
            fs::write(dir.join("rows.tsv"), "label\ttext\n1\t\"the\nblue sea\"\n0\tblue\n")
                .unwrap();
            classify("--train rows.tsv")
        },
        says: &[
            "rows.tsv, line 3: found 1 fields, expected the header's 2: label, text; a field begins with a quote",
            "name the file .csv",
        ],
        ..CASE
    },
    Case {
        name: "a folder of folders",
        build: |dir| {
            model(dir, "bert");
            fs::create_dir_all(dir.join("glue/sst2")).unwrap();
            fs::rename(dir.join("rows.jsonl"), dir.join("glue/sst2/train.jsonl")).unwrap();
            classify("--train glue")
        },
        says: &[
            "glue: is a folder without data files; name one of the folders in it that have some: glue/sst2",
        ],
        ..CASE
    },
];

//! Settings of a method that it does not have, that are out of range or do not go together.

use super::{Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "unknown init",
        build: |dir| {
            model(dir, "gpt2");
            train("--init xavier")
        },
        says: &["--init: found \"xavier\", expected one of random, zero, words"],
        ..USAGE
    },
    Case {
        name: "no virtual tokens",
        build: |dir| {
            model(dir, "gpt2");
            train("--num-virtual-tokens 0")
        },
        says: &["--num-virtual-tokens", "found 0"],
        ..USAGE
    },
    Case {
        name: "a method of more numbers than fit a memory",
        build: |dir| {
            model(dir, "t5");
            train(
                "--task seq2seq-lm --method prefix --num-virtual-tokens 1000000 \
                 --prefix-hidden-size 1000000",
            )
        },
        says: &[
            "--prefix-hidden-size: found 1000000, with which 600000000 numbers would be trained",
        ],
        ..USAGE
    },
    Case {
        name: "more virtual tokens than fit any memory",
        build: |dir| {
            model(dir, "gpt2");
            train("--num-virtual-tokens 99999999999")
        },
        says: &["--num-virtual-tokens: found 99999999999", "64 positions"],
        ..USAGE
    },
    Case {
        name: "dropout above 1",
        build: |dir| {
            model(dir, "gpt2");
            train("--prefix-dropout 2")
        },
        says: &["--prefix-dropout: found 2, expected a number from 0 to below 1"],
        ..USAGE
    },
    Case {
        name: "layers out of range",
        build: |dir| {
            model(dir, "gpt2");
            train("--layers 0-3")
        },
        says: &["--layers", "3", "layers 0 to 2"],
        ..USAGE
    },
    Case {
        name: "layers for a method without",
        build: |dir| {
            model(dir, "gpt2");
            train("--method prompt --layers 0")
        },
        says: &["--layers: prompt has no such setting"],
        ..USAGE
    },
    Case {
        name: "an infix for a method without",
        build: |dir| {
            model(dir, "gpt2");
            train("--method prompt --infix")
        },
        says: &["--infix: prompt has no such setting"],
        ..USAGE
    },
    Case {
        name: "an infix in the row of an encoder",
        build: |dir| {
            model(dir, "bert");
            classify("--infix")
        },
        says: &[
            "--infix: an infix stands in the row of a decoder, and a bert model has none: leave it out",
        ],
        ..USAGE
    },
    Case {
        name: "an infix in the row of an encoder-decoder",
        build: |dir| {
            model(dir, "t5");
            train("--task seq2seq-lm --infix")
        },
        says: &["--infix: an infix stands in the row of a decoder, and a t5 model has none"],
        ..USAGE
    },
    Case {
        name: "an infix in rows that are classified",
        build: |dir| {
            model(dir, "gpt2-cls");
            classify("--infix")
        },
        says: &[
            "--infix: an infix stands between the source and the target of a row",
            "and seq-cls has no",
        ],
        ..USAGE
    },
    Case {
        name: "an infix in packed rows",
        build: |dir| {
            model(dir, "gpt2");
            train("--infix --packing")
        },
        says: &[
            "--packing: not with an infix, which has one place in a row: leave out it, or --infix",
        ],
        ..USAGE
    },
    Case {
        name: "an infix from a prefix",
        build: |dir| {
            pair(dir, "gpt2");
            words(
                "train --infix --init-adapter adapter --model model --method ptv2 --task causal-lm --train rows.jsonl \
                 --out out",
            )
        },
        says: &["--infix: found true, the adapter of --init-adapter is a prefix"],
        ..USAGE
    },
    Case {
        name: "init text without a text init",
        build: |dir| {
            model(dir, "gpt2");
            train("--init-text sea")
        },
        says: &["--init-text: not used by --init random"],
        ..USAGE
    },
    Case {
        name: "an unknown reparameterization",
        build: |dir| {
            model(dir, "gpt2");
            train("--method prompt --reparameterization gru")
        },
        says: &["--reparameterization: found `gru`, expected none, mlp or lstm"],
        ..USAGE
    },
    Case {
        name: "an encoder for keys and values",
        build: |dir| {
            model(dir, "gpt2");
            train("--method ptv2 --reparameterization lstm")
        },
        says: &["--reparameterization: ptv2 has no such setting"],
        ..USAGE
    },
    Case {
        name: "width of an encoder that is not there",
        build: |dir| {
            model(dir, "gpt2");
            train("--method prompt --encoder-hidden-size 8")
        },
        says: &["--encoder-hidden-size: not used without --reparameterization mlp or lstm"],
        ..USAGE
    },
    Case {
        name: "an encoder of more numbers than fit a memory",
        build: |dir| {
            model(dir, "gpt2");
            train("--method prompt --reparameterization lstm --encoder-hidden-size 1000000")
        },
        says: &["--encoder-hidden-size: found 1000000, with which ", "expected at most 268435456"],
        ..USAGE
    },
    Case {
        name: "an encoder of more layers than fit a memory",
        build: |dir| {
            model(dir, "gpt2");
            train("--method prompt --reparameterization lstm --encoder-num-layers 999999")
        },
        says: &["--encoder-num-layers: found 999999, with which "],
        ..USAGE
    },
    Case {
        name: "dropout between layers of which there is one",
        build: |dir| {
            model(dir, "gpt2");
            train(
                "--method prompt --reparameterization lstm --encoder-num-layers 1 --encoder-dropout 0.1",
            )
        },
        says: &["--encoder-dropout: found 0.1, but it is for what one layer"],
        ..USAGE
    },
    Case {
        name: "width of an MLP that is not there",
        build: |dir| {
            model(dir, "gpt2");
            train("--prefix-projection false --prefix-hidden-size 8")
        },
        says: &["--prefix-hidden-size: not used without --prefix-projection"],
        ..USAGE
    },
    Case {
        name: "init and an adapter to start from",
        build: |dir| {
            pair(dir, "gpt2");
            train("--num-virtual-tokens 5 --init-adapter adapter --init zero")
        },
        says: &["--init: not used with --init-adapter"],
        ..USAGE
    },
    Case {
        name: "dropout for the head alone",
        build: |dir| {
            model(dir, "bert");
            words(
                "train --model model --method head --task seq-cls --train rows.jsonl --out out \
                 --prefix-dropout 0.1",
            )
        },
        says: &["--prefix-dropout: head has no such setting"],
        ..USAGE
    },
];

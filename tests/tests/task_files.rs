//! Tasks in TOML: what rows become by those that come with the program, in each layout of their data, and runs by them.

use std::{collections::BTreeMap, fs, path::Path, slice};

use peft_core::{
    Task,
    data::Target,
    text::{EncoderConfig, Template, load_tokenizer, read_records},
};
use peft_tests::shared;
use serde_json::{Value, json};

use crate::support::{parse_lines, peft, read_lines, refused, root, succeed};

/// What a task reads of the rows of a file.
fn shown(task: &str, data: &Path, flags: &[&str]) -> Vec<Value> {
    let output = succeed(peft(&root()).args(["tasks", task, "--data"]).arg(data).args(flags));
    parse_lines(&String::from_utf8(output.stdout).unwrap())
}

/// What a task reads of some rows.
fn of(task: &str, rows: &[Value], flags: &[&str]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    shown(task, &path, flags)
}

#[test]
fn tasks_are_listed_and_printed() {
    let list = String::from_utf8(succeed(peft(&root()).arg("tasks")).stdout).unwrap();
    for name in [
        "superglue-boolq",
        "superglue-record",
        "glue-qqp",
        "conll",
        "srl",
        "squad-v2",
        "e2e",
        "xsum",
    ] {
        assert!(list.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}: {list}");
    }
    let all = succeed(peft(&root()).args(["tasks", "--json"])).stdout;
    let all: Value = serde_json::from_slice(&all).unwrap();
    assert_eq!(all.as_array().unwrap().len() + 1, list.lines().count());
    // A printed task is a file like any other.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("own.toml");
    let text = succeed(peft(&root()).args(["tasks", "superglue-rte"])).stdout;
    fs::write(&path, &text).unwrap();
    assert_eq!(succeed(peft(&root()).arg("tasks").arg(&path)).stdout, text);
    let row = json!({"premise": "p", "hypothesis": "h", "label": 1});
    assert_eq!(
        of(path.to_str().unwrap(), slice::from_ref(&row), &[]),
        of("superglue-rte", slice::from_ref(&row), &[])
    );
    let (code, message) = refused(peft(&root()).args(["tasks", "superglue-rt"]));
    assert_eq!(code, Some(2), "{message}");
    assert!(message.ends_with("did you mean superglue-rte?\n"), "{message}");
}

#[test]
fn fewglue_is_read_as_t5_reads_superglue() {
    let Some(data) = shared("data/fewglue") else { return };
    for (folder, task, begins, counts) in [
        ("BoolQ", "superglue-boolq", "passage: ", &[("True", 2033), ("False", 1237)][..]),
        (
            "CB",
            "superglue-cb",
            "hypothesis: ",
            &[("contradiction", 28), ("entailment", 23), ("neutral", 5)],
        ),
        ("COPA", "superglue-copa", "choice1: ", &[("choice1", 55), ("choice2", 45)]),
        ("RTE", "superglue-rte", "hypothesis: ", &[("entailment", 146), ("not_entailment", 131)]),
    ] {
        let rows = shown(task, &data.join(folder).join("val.jsonl"), &[]);
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for row in &rows {
            assert!(row["source"].as_str().unwrap().starts_with(begins), "{row}");
            *found.entry(row["target"].as_str().unwrap()).or_default() += 1;
        }
        assert_eq!(found, counts.iter().copied().collect(), "{task}");
        // For a classifier, with the same classes.
        let classes = shown(task, &data.join(folder).join("val.jsonl"), &["--task", "seq-cls"]);
        let same = rows.iter().zip(&classes).all(|(row, class)| row["target"] == class["label"]);
        assert!(same && rows.len() == classes.len(), "{task}");
    }
    let copa = shown("superglue-copa", &data.join("COPA/train.jsonl"), &["--first", "1"]);
    let source = "choice1: The chandelier dropped from the ceiling. choice2: The chandelier's lights flickered on and \
                  off. premise: The chandelier shattered on the floor. question: cause";
    assert_eq!(copa, [json!({"source": source, "target": "choice1"})]);
}

/// As GLUE's archives and Microsoft's files have them: no header, other names, and quotes that are no CSV.
#[test]
fn glues_own_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&str, &str, &str, [Value; 2]); 10] = [
        (
            "cola",
            "train.tsv",
            "xx01\t1\t\tThe dog \"barked.\nxx02\t0\t*\t\"Barked the dog.\n",
            [
                json!({"source": "sentence: The dog \"barked.", "target": "acceptable"}),
                json!({"source": "sentence: \"Barked the dog.", "target": "unacceptable"}),
            ],
        ),
        (
            "sst2",
            "train.tsv",
            "sentence\tlabel\na dull \"film \t0\nwarm \t1\n",
            [
                json!({"source": "sentence: a dull \"film ", "target": "negative"}),
                json!({"source": "sentence: warm ", "target": "positive"}),
            ],
        ),
        (
            "mrpc",
            "train.tsv",
            "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tShe said \"it rains.\tIt rains.\r\n\
             0\t9\t10\t\"No\" was all.\tYes.\r\n",
            [
                json!({"source": "sentence1: She said \"it rains. sentence2: It rains.", "target": "equivalent"}),
                json!({"source": "sentence1: \"No\" was all. sentence2: Yes.", "target": "not_equivalent"}),
            ],
        ),
        (
            "mrpc",
            "msr_paraphrase_train.txt",
            "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tA.\tB.\r\n0\t9\t10\tC.\tD.\r\n",
            [
                json!({"source": "sentence1: A. sentence2: B.", "target": "equivalent"}),
                json!({"source": "sentence1: C. sentence2: D.", "target": "not_equivalent"}),
            ],
        ),
        (
            "stsb",
            "train.tsv",
            "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n\
             0\tmade\tup\t2012\t1\tnone\tnone\tA boat.\tA \"boat\" there.\t5.000\n\
             1\tmade\tup\t2012\t2\tnone\tnone\tA man.\tA dog.\t0.6\n",
            [
                json!({"text": "A boat.", "text_pair": "A \"boat\" there.", "label": "5.000"}),
                json!({"text": "A man.", "text_pair": "A dog.", "label": "0.6"}),
            ],
        ),
        (
            "qqp",
            "train.tsv",
            "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\tWhat is \"up?\tHow is it?\t0\n\
             1\t3\t4\tWho?\tWho is it?\t1\n",
            [
                json!({"source": "question1: What is \"up? question2: How is it?", "target": "not_duplicate"}),
                json!({"source": "question1: Who? question2: Who is it?", "target": "duplicate"}),
            ],
        ),
        (
            "mnli",
            "dev_matched.tsv",
            "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\t\
             sentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label\n\
             0\t1\t1n\tmade\t( a b )\t( c )\t(S a b)\t(S c)\tIt \"rained.\tIt snowed.\tneutral\tneutral\n\
             1\t1\t1e\tmade\t( a b )\t( c )\t(S a b)\t(S c)\tIt rained.\tIt was wet.\tneutral\tentailment\n",
            [
                json!({"source": "hypothesis: It snowed. premise: It \"rained.", "target": "neutral"}),
                json!({"source": "hypothesis: It was wet. premise: It rained.", "target": "entailment"}),
            ],
        ),
        (
            "qnli",
            "train.tsv",
            "index\tquestion\tsentence\tlabel\n0\tWho came?\tIt was \"Ann.\tentailment\n1\tWhy?\tNo.\tnot_entailment\n",
            [
                json!({"source": "question: Who came? sentence: It was \"Ann.", "target": "entailment"}),
                json!({"source": "question: Why? sentence: No.", "target": "not_entailment"}),
            ],
        ),
        (
            "rte",
            "train.tsv",
            "index\tsentence1\tsentence2\tlabel\n0\tNo \"boats.\tBoats.\tnot_entailment\n1\tIt rains.\tIt is wet.\tentailment\n",
            [
                json!({"source": "sentence1: No \"boats. sentence2: Boats.", "target": "not_entailment"}),
                json!({"source": "sentence1: It rains. sentence2: It is wet.", "target": "entailment"}),
            ],
        ),
        (
            "wnli",
            "train.tsv",
            "index\tsentence1\tsentence2\tlabel\n0\tThe box hit the cup, and it broke.\tThe cup broke.\t1\n\
             1\tThe box hit the cup, and it broke.\tThe box broke.\t0\n",
            [
                json!({"source": "sentence1: The box hit the cup, and it broke. sentence2: The cup broke.", "target": "entailment"}),
                json!({"source": "sentence1: The box hit the cup, and it broke. sentence2: The box broke.", "target": "not_entailment"}),
            ],
        ),
    ];
    for (task, name, text, expected) in cases {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        assert_eq!(shown(&format!("glue-{task}"), &path, &[]), expected, "{task} {name}");
    }
    // Other layouts of a task whose files have no header: with one, and as objects.
    let path = dir.path().join("other.tsv");
    fs::write(&path, "index\tsentence\n0\tThe dog barked.\n").unwrap();
    assert_eq!(shown("glue-cola", &path, &[]), [json!({"source": "sentence: The dog barked."})]);
    let row = json!({"sentence": "The dog barked.", "label": 1});
    let expected = [json!({"source": "sentence: The dog barked.", "target": "acceptable"})];
    assert_eq!(of("glue-cola", &[row], &[]), expected);
}

/// Names of columns that a task gives are remembered with it.
#[test]
fn files_without_a_header_are_scored_as_they_were_learnt() {
    let Some(model) = shared("models/stories260k") else { return };
    let dir = tempfile::tempdir().unwrap();
    let rows = "xx01\t1\t\tThe dog barked.\nxx02\t0\t*\tBarked the dog did.\n".repeat(3);
    fs::write(dir.path().join("rows.tsv"), rows).unwrap();
    let run = |args: &[&str]| {
        let mut command = peft(dir.path());
        command.args(args).arg("--model").arg(&model);
        succeed(&mut command)
    };
    run(&[
        "train",
        "--task-file=glue-cola",
        "--task=causal-lm",
        "--method=prompt",
        "--train=rows.tsv",
        "--out=out",
        "--steps=2",
        "--batch-size=2",
        "--num-virtual-tokens=2",
    ]);
    let found =
        run(&["eval", "--adapter=out", "--data=rows.tsv", "--rank-classes", "--json"]).stdout;
    let found: Value = serde_json::from_slice(&found).unwrap();
    assert!(found["accuracy"].is_f64(), "{found}");
}

#[test]
fn paragraphs_with_answers_become_rows_in_either_layout() {
    let nested = json!({"idx": 7, "passage": {"text": "<b>Sent 1: </b>A cat.<br>", "questions": [
        {"question": "Who?", "idx": 3, "answers": [
            {"text": "a cat", "idx": 0, "label": 1}, {"text": "a dog", "idx": 1, "label": 0}]},
        {"question": "Where?", "idx": 4, "answers": [{"text": "here", "idx": 2, "label": 0}]}]}});
    let expected = [
        json!({"source": "question: Who? answer: a cat paragraph: Sent 1: A cat. ", "target": "True", "group": "7 3"}),
        json!({"source": "question: Who? answer: a dog paragraph: Sent 1: A cat. ", "target": "False", "group": "7 3"}),
        json!({"source": "question: Where? answer: here paragraph: Sent 1: A cat. ", "target": "False", "group": "7 4"}),
    ];
    assert_eq!(of("superglue-multirc", &[nested], &[]), expected);
    let flat = |question: &str, answer: &str, asked: i32, label: i32| {
        json!({"paragraph": "<b>Sent 1: </b>A cat.<br>", "question": question, "answer": answer, "label": label,
            "idx": {"paragraph": 7, "question": asked, "answer": 0}})
    };
    let rows =
        [flat("Who?", "a cat", 3, 1), flat("Who?", "a dog", 3, 0), flat("Where?", "here", 4, 0)];
    assert_eq!(of("superglue-multirc", &rows, &[]), expected);
    let classes = of("superglue-multirc", &rows[..1], &["--task=seq-cls"]);
    assert_eq!(
        (&classes[0]["text"], &classes[0]["text_pair"]),
        (&"Sent 1: A cat. ".into(), &"Who? a cat".into())
    );
}

/// The example in the documentation of T5's own preprocessor, and its marks of highlights.
#[test]
fn queries_with_several_answers_are_rows_with_one_input() {
    let input = "query: A @placeholder is a bird. entities: penguin, potato, pigeon passage: This is the passage. More. \
                 Is it? Yes";
    let expected = ["penguin", "pigeon"].map(|answer| json!({"source": input, "target": answer}));
    let passage = "This is the passage\n@highlight\nMore.\n@highlight\nIs it?\n@highlight\nYes";
    let row = json!({"passage": passage, "query": "A @placeholder is a bird.",
        "entities": ["penguin", "potato", "pigeon"], "answers": ["penguin", "pigeon"], "idx": {"passage": 0, "query": 0}});
    assert_eq!(of("superglue-record", &[row], &[]), expected);
    let text = "penguin potato pigeon penguin\n@highlight\nx";
    let span =
        |start: usize, end: usize, text: &str| json!({"start": start, "end": end, "text": text});
    let row = json!({"source": "CNN", "idx": 0, "passage": {"text": text,
        "entities": [span(0, 6, ""), span(8, 13, ""), span(15, 20, ""), span(22, 28, "")]},
        "qas": [{"query": "A @placeholder.", "idx": 0,
                "answers": [span(15, 20, "pigeon"), span(0, 6, "penguin"), span(22, 28, "penguin")]},
            {"query": "No @placeholder.", "idx": 1, "answers": [span(8, 13, "potato")]}]});
    let read = of("superglue-record", &[row], &[]);
    // Each once, sorted.
    let passage = "entities: penguin, pigeon, potato passage: penguin potato pigeon penguin. x";
    let source = |query: &str| format!("query: {query} {passage}");
    assert_eq!(
        read,
        [
            ("A @placeholder.", "penguin"),
            ("A @placeholder.", "pigeon"),
            ("No @placeholder.", "potato")
        ]
        .map(|(query, answer)| json!({"source": source(query), "target": answer}))
    );
}

#[test]
fn pronouns_are_marked_and_wrong_referents_are_not_learnt() {
    let flat = |label: i32| {
        json!({"text": "Mitchell asked Tom if he could lend some money.", "span1_text": "Tom", "span1_index": 2,
            "span2_text": "he", "span2_index": 4, "label": label, "idx": 0})
    };
    let nested = json!({"text": "Mitchell asked Tom if he could lend some money.", "label": true, "idx": 0,
        "target": {"span1_text": "Tom", "span1_index": 2, "span2_text": "he", "span2_index": 4}});
    let expected =
        json!({"source": "Mitchell asked Tom if *he* could lend some money.", "target": "Tom"});
    let learnt = of("superglue-wsc", &[flat(1), flat(0)], &["--training"]);
    assert_eq!(learnt, slice::from_ref(&expected));
    assert_eq!(of("superglue-wsc", &[flat(1), flat(0)], &[]), slice::from_ref(&expected));
    assert_eq!(of("superglue-wsc", &[nested], &["--training"]), slice::from_ref(&expected));
    // As T5 scores it, wrong referents are asked for, too.
    assert_eq!(
        of("superglue-wsc-referent", &[flat(1), flat(0)], &["--training"]),
        slice::from_ref(&expected)
    );
    assert_eq!(
        of("superglue-wsc-referent", &[flat(1), flat(0)], &[]),
        [expected.clone(), expected]
    );
}

/// What stories260k writes is taken as the words of the rows: right where the label says so.
#[test]
fn referents_are_scored_as_by_t5() {
    let Some(model) = shared("models/stories260k") else { return };
    let dir = tempfile::tempdir().unwrap();
    let row = |words: &str, label: bool| {
        json!({"text": "Lily saw Tom and he was happy.", "span1_text": words, "span1_index": 2, "span2_text": "he",
            "span2_index": 4, "label": label})
    };
    let eval = |rows: &[Value]| -> Value {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        fs::write(dir.path().join("rows.jsonl"), lines.join("\n")).unwrap();
        let mut command = peft(dir.path());
        command.args(["eval", "--task-file=superglue-wsc-referent", "--data=rows.jsonl", "--json"]);
        command.args(["--max-new-tokens=6", "--predictions=written.jsonl", "--model"]).arg(&model);
        serde_json::from_slice(&succeed(&mut command).stdout).unwrap()
    };
    eval(&[row("Tom", true)]);
    let written = read_lines(&dir.path().join("written.jsonl"));
    let output = written[0]["output"].as_str().unwrap().to_string();
    assert!(output.split_whitespace().count() > 1, "{output}");
    let (named, other) = (format!("the {} again", output.trim()), "zebra".to_string());
    for (words, label, expected) in
        [(&named, true, 1.0), (&named, false, 0.0), (&other, false, 1.0), (&other, true, 0.0)]
    {
        assert_eq!(eval(&[row(words, label)])["accuracy"], expected, "{words}, {label}: {output}");
    }
    assert_eq!(eval(&[row(&named, true), row(&other, true)])["accuracy"], 0.5);
}

#[test]
fn records_become_lines_as_li_and_liang_write_them() {
    let spice = "name[Blue Spice], eatType[coffee shop], priceRange[£20-25], familyFriendly[no]";
    let line = "name : Blue Spice | Type : coffee shop | price : £20-25 | family friendly : no";
    for (mr, text) in
        [("mr", "ref"), ("meaning_representation", "human_reference"), ("source", "target")]
    {
        let read = of("e2e", &[json!({mr: spice, text: "Go there."})], &["--task=seq2seq-lm"]);
        assert_eq!(read, [json!({"source": line, "target": "Go there."})]);
    }
    let triples = json!([
        ["Mars Hill College", "JOINED", "1973"],
        ["Mars Hill College", "LOCATION", "Mars Hill"]
    ]);
    // Relations in lower case, as the code of Li & Liang writes them.
    let line = "Mars Hill College : joined : 1973 | Mars Hill College : location : Mars Hill\n";
    let expected = ["One.", "Two."].map(|text| json!({"source": line, "target": text}));
    let rows = json!({"tripleset": triples, "annotations": [{"source": "a", "text": "One."}, {"source": "b", "text": "Two."}]});
    assert_eq!(of("dart", &[rows], &[]), expected);
    let columns = json!({"tripleset": triples, "annotations": {"source": ["a", "b"], "text": ["One.", "Two."]}});
    assert_eq!(of("dart", &[columns], &[]), expected);
    let triple = |relation: &str, object: &str| json!({"subject": "Alan", "property": relation, "object": object});
    let lex = |text: &str, comment: &str| json!({"comment": comment, "lex": text, "xml_id": "Id1", "lang": ""});
    let entry = json!({"category": "Astronaut", "modifiedtripleset": [triple("born", "1923"), triple("job", "pilot")],
        "lexicalisations": [lex("Alan flew.", "good"), lex("Alan.", "bad")]});
    let line = "Alan : born : 1923 | Alan : job : pilot\n";
    let expected = ["Alan flew.", "Alan."].map(|text| json!({"source": line, "target": text}));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dev.json");
    fs::write(&path, json!({"entries": [{"1": entry}]}).to_string()).unwrap();
    assert_eq!(shown("webnlg", &path, &[]), expected);
    assert_eq!(shown("webnlg", &path, &["--training"]), expected[..1]);
    let hub = json!({"category": "Astronaut", "size": 2,
        "modified_triple_sets": {"mtriple_set": [["Alan | born | 1923", "Alan | job | pilot"]]},
        "lex": {"comment": ["good", "bad"], "lid": ["Id1", "Id2"], "text": ["Alan flew.", "Alan."], "lang": ["", ""]}});
    assert_eq!(of("webnlg", &[hub], &[]), expected);
    let Some(data) = shared("data/e2e-nlg/dev.jsonl") else { return };
    let read = shown("e2e", &data, &[]);
    let first = json!({"source": "name : Alimentum | area : city centre | family friendly : no\n",
        "target": "There is a place in the city centre, Alimentum, that is not family-friendly."});
    assert_eq!((read.len(), &read[0]), (4672, &first));
}

#[test]
fn words_questions_and_intents_are_read() {
    let roles =
        json!({"tokens": ["He", "ran", "home"], "tags": ["B-A0", "B-V", "B-A1"], "index": 1});
    let read = of("srl", &[roles], &[]);
    let tokens = json!(["He", "ran", "home", "[SEP]", "ran"]);
    assert_eq!(read, [json!({"tokens": tokens, "tags": ["B-A0", "B-V", "B-A1", "-100", "-100"]})]);
    let tags = of("conll", &[json!({"tokens": ["a"], "ner_tags": [3], "pos_tags": [1]})], &[]);
    assert_eq!(tags, [json!({"tokens": ["a"], "tags": [3]})]);
    let asked = json!({"question": "q", "context": "c a", "answers": {"text": ["a", "c"], "answer_start": [2, 0]}});
    let read = of("squad", slice::from_ref(&asked), &["--task=seq2seq-lm"]);
    assert_eq!(read, [json!({"source": "question: q context: c a", "target": "a"})]);
    assert_eq!(of("squad", slice::from_ref(&asked), &[])[0]["answers"], asked["answers"]);
    let pair = json!({"sentence1": "a", "sentence2": "b", "label": 0, "idx": 5});
    let read = of("glue-mrpc", &[pair], &[]);
    assert_eq!(read, [json!({"source": "sentence1: a sentence2: b", "target": "not_equivalent"})]);
    let hidden = of("glue-mnli", &[json!({"premise": "a", "hypothesis": "b", "label": -1})], &[]);
    assert_eq!(hidden, [json!({"source": "hypothesis: b premise: a"})]);
    let (Some(intents), Some(slots), Some(xquad)) = (
        shared("data/snips-intent/valid.jsonl"),
        shared("data/snips-slots/valid.jsonl"),
        shared("data/xquad-en/xquad.en.json"),
    ) else {
        return;
    };
    let read = shown("snips-intent", &intents, &["--task=causal-lm"]);
    assert_eq!(read.len(), 700);
    assert_eq!(
        read[0]["source"],
        "text: I'd like to have this track onto my Classical Relaxations playlist. intent:"
    );
    assert_eq!(read[0]["target"], " AddToPlaylist");
    assert_eq!(
        shown("conll", &slots, &["--first=1"])[0]["tokens"].as_array().map(Vec::is_empty),
        Some(false)
    );
    assert_eq!(shown("squad", &xquad, &[]).len(), 1190);
}

#[test]
fn rows_that_a_task_cannot_read_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let show = |task: &str, row: Value| {
        fs::write(
            &path,
            format!("{}\n{row}\n", json!({"premise": "a", "hypothesis": "b", "label": 0})),
        )
        .unwrap();
        refused(peft(&root()).args(["tasks", task, "--data"]).arg(&path))
    };
    let (code, message) =
        show("superglue-cb", json!({"premise": "a", "hypothesis": "b", "label": "maybe"}));
    assert_eq!(code, Some(1), "{message}");
    assert!(
        message
            .contains("rows.jsonl, line 2: field `label`: found `maybe`, expected one of: 0, 1, 2"),
        "{message}"
    );
    let (code, message) = show("superglue-cb", json!({"premise": "a", "label": 1}));
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("line 2: field `hypothesis` is missing"), "{message}");
    let (code, message) =
        refused(peft(&root()).args(["tasks", "superglue-cb", "--task=qa", "--data"]).arg(&path));
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("is for seq2seq-lm, causal-lm or seq-cls"), "{message}");
}

/// A task names the metrics of its texts, which an adapter remembers.
#[test]
fn texts_are_scored_by_the_metrics_of_their_task() {
    let (Some(model), Some(data)) = (shared("models/stories260k"), shared("data/e2e-nlg")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows.jsonl");
    let text = fs::read_to_string(data.join("dev.jsonl")).unwrap();
    fs::write(&rows, text.lines().take(6).collect::<Vec<_>>().join("\n")).unwrap();
    let mut train = peft(&root());
    train.args([
        "train",
        "--task-file=e2e",
        "--recipe=li2021-table",
        "--epochs=1",
        "--batch-size=3",
        "--model",
    ]);
    train.arg(&model).arg("--train").arg(&rows).arg("--out").arg(dir.path().join("out"));
    succeed(&mut train);
    let eval = |flags: &[&str]| -> Value {
        let mut command = peft(dir.path());
        command
            .args(["eval", "--json", "--adapter=out", "--data=rows.jsonl", "--model"])
            .arg(&model);
        serde_json::from_slice(&succeed(command.args(flags)).stdout).unwrap()
    };
    let found = eval(&["--max-new-tokens=8"]);
    for name in ["bleu", "nist", "rouge_l_coco", "cider", "exact_match"] {
        assert!(found[name].is_f64(), "{name}: {found}");
    }
    let asked = eval(&["--max-new-tokens=8", "--metric=chrf"]);
    assert!(asked["chrf"].is_f64() && asked["bleu"].is_null(), "{asked}");
    assert!(eval(&[])["bleu"].is_null());
}

/// A small language model learns COPA as text, remembers how its rows were made, and its answers are scored as classes.
#[test]
fn a_run_by_a_task_is_evaluated_by_it() {
    let (Some(model), Some(data)) = (shared("models/stories260k"), shared("data/fewglue/COPA"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut train = peft(&root());
    train.args([
        "train",
        "--task-file=superglue-copa",
        "--task=causal-lm",
        "--method=prompt",
        "--init=labels",
    ]);
    train.args(["--steps=3", "--batch-size=4", "--num-virtual-tokens=4", "--model"]).arg(&model);
    succeed(train.arg("--data-dir").arg(&data).arg("--out").arg(&out));
    let run = fs::read_to_string(out.join("run.toml")).unwrap();
    assert!(run.contains("task_file = \"superglue-copa\"") && !run.contains("data_dir"), "{run}");
    assert!(run.contains("labels = \"choice1,choice2\"") && run.contains("val.jsonl"), "{run}");
    succeed(peft(&root()).args(["train", "--resume", "--steps=4", "--out"]).arg(&out));
    let eval = |flags: &[&str]| -> Value {
        let mut command = peft(&root());
        command
            .args(["eval", "--json", "--model"])
            .arg(&model)
            .arg("--data")
            .arg(data.join("val.jsonl"));
        serde_json::from_slice(&succeed(command.args(flags)).stdout).unwrap()
    };
    let adapter = format!("--adapter={}", out.display());
    let rows = dir.path().join("ranked.jsonl");
    let keep = format!("--predictions={}", rows.display());
    let ranked = eval(&[&adapter, "--rank-classes", &keep]);
    let each = read_lines(&rows);
    assert_eq!(each.len(), 100);
    let right = each.iter().filter(|row| row["label"] == row["reference"]).count();
    assert_eq!(ranked["accuracy"].as_f64(), Some(right as f64 / 100.0));
    for row in &each {
        let sums = row["log_likelihoods"].as_object().unwrap();
        let best =
            sums.iter().max_by(|a, b| a.1.as_f64().partial_cmp(&b.1.as_f64()).unwrap()).unwrap();
        assert_eq!(row["label"].as_str(), Some(best.0.as_str()), "{row}");
        // The right class is the row's target: its mean over all rows is the loss, below.
        assert!(sums.values().all(|sum| sum.as_f64().unwrap() < 0.0));
    }
    let of_right =
        |row: &Value| row["log_likelihoods"][row["reference"].as_str().unwrap()].as_f64().unwrap();
    let sum: f64 = each.iter().map(of_right).sum();
    let loss = ranked["loss"].as_f64().unwrap();
    let tokens = -sum / loss;
    assert!(
        (tokens - tokens.round()).abs() < 1e-3 * tokens,
        "{sum} is the loss {loss} of {tokens} tokens"
    );
    let by_mean = eval(&[&adapter, "--rank-classes=mean", "--batch-size=3"]);
    // The two classes have as many tokens.
    assert_eq!(by_mean["accuracy"], ranked["accuracy"]);
    // Written, they are matched exactly, and the share of what is no class is told.
    let written = eval(&[&adapter, "--max-new-tokens=6"]);
    assert!(
        written["invalid"].as_f64().unwrap() + written["accuracy"].as_f64().unwrap() <= 1.0,
        "{written}"
    );
    // The base model alone needs to be told the task.
    let base = eval(&["--task-file=superglue-copa", "--rank-classes"]);
    assert!(base["accuracy"].is_f64() && base["loss"] != ranked["loss"], "{base}");
    let (code, message) = refused(
        peft(&root())
            .args(["eval", "--rank-classes", "--model"])
            .arg(&model)
            .arg("--data")
            .arg(data.join("val.jsonl"))
            .args(["--source-template={premise}", "--target-template={label}"]),
    );
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("--rank-classes: needs the classes"), "{message}");
}

/// A sentinel before the target, for a T5 that only filled in spans before (Lester et al. 2021, section 2.2): a token of what is learnt, with
/// the ids of transformers 5.23, and no part of what is compared or ranked.
#[test]
fn a_sentinel_before_the_target_is_learnt_and_not_compared() {
    let Some(model) = shared("models/tiny-t5") else { return };
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows.jsonl");
    let lines =
        [json!({"source": "good?", "target": "yes"}), json!({"source": "bad?", "target": "no"})];
    fs::write(&rows, format!("{}\n{}\n", lines[0], lines[1])).unwrap();
    let template = "<extra_id_0> {target}";
    let mut config = EncoderConfig::new(Task::Seq2SeqLm, 1302);
    config.target_template = Some(Template::parse(template, "--target-template").unwrap());
    config.decoder_start = Some(0);
    let encoder = config.init(Some(load_tokenizer(&model).unwrap())).unwrap();
    let encoded = encoder.encode(&read_records(&rows).unwrap()).unwrap();
    assert_eq!(encoded.examples[0].target, Target::Tokens(vec![102, 103, 118, 159, 1]));

    let run = dir.path().join("run");
    let mut train = peft(&root());
    train.args(["train", "--method=prompt", "--task=seq2seq-lm", "--labels=yes,no", "--steps=1"]);
    train.args(["--num-virtual-tokens=2", &format!("--target-template={template}"), "--model"]);
    succeed(train.arg(&model).arg("--train").arg(&rows).arg("--out").arg(&run));
    let scored = |flags: &[&str], field: &str| -> Vec<Value> {
        let found = dir.path().join("found.jsonl");
        let mut eval = peft(&root());
        eval.arg("eval").arg("--model").arg(&model).arg("--adapter").arg(&run).arg("--data");
        succeed(eval.arg(&rows).args(flags).arg("--predictions").arg(&found));
        read_lines(&found).into_iter().map(|mut row| row[field].take()).collect()
    };
    assert_eq!(scored(&["--max-new-tokens=2"], "references"), [json!(["yes"]), json!(["no"])]);
    assert_eq!(scored(&["--rank-classes"], "reference"), [json!("yes"), json!("no")]);
}

//! What rows become by a task, in each layout of its data.

use std::{collections::BTreeMap, fs, slice};

use peft_tests::shared;
use serde_json::{Value, json};

use super::{of, shown};
use crate::support::{peft, refused, root, succeed};

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
fn a_step_of_ones_own_whose_field_no_row_has_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("rows.jsonl"), "{\"sentence\": \"a\", \"text\": \"a\"}\n").unwrap();
    let own =
        "task = \"seq-cls\"\n[[steps]]\nkeep = { field = \"labl\", values = [\"0\"] }\n[seq-cls]\n";
    fs::write(dir.join("own.toml"), own).unwrap();
    let said = |task: &str| {
        let output = succeed(peft(dir).args(["tasks", task, "--data", "rows.jsonl"]));
        String::from_utf8(output.stderr).unwrap()
    };
    let told = "note: step 1 of the task does nothing: no row has its field `labl`\n";
    assert_eq!(said("own.toml"), told);
    // Those that come with the program are for several layouts.
    assert_eq!(said("glue-sst2"), "");
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

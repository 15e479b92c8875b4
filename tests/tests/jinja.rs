//! Templates give the text that Jinja gives, or an error: `tests/python/make_jinja.py` made the right texts.

use std::{fs, path::Path, sync::Arc};

use peft_core::{
    Task,
    text::{ChatSource, Clock, EncoderConfig, ModelTokenizer, Record, read_records},
};
use peft_tests::vectors;
use serde_json::Value;
use tempfile::TempDir;

/// What is refused although Jinja renders it.
const REFUSED: &[&str] = &[
    "{{ 99999999999999999999 * 99999999999999999999 }}",
    "{{ d.update is defined }}",
    "{{ '4²'.isdigit() }}",
    "{{ '½'.isdigit() }}",
    "{{ '京'.isnumeric() }}",
    "{% for x in l %}{{ loop | list }}{% endfor %}",
    "{{ 'ǅ'.istitle() }}",
    "{{ 'Abc Def'.istitle() }}",
    "{{ 'a_1'.isidentifier() }}",
    "{{ 'a\\tb'.expandtabs(4) }}",
    "{{ 'abc'.encode() }}",
    "{{ '{} {}'.format(1, 'a') }}",
    "{{ '{0} {a}'.format(1, a=2) }}",
    "{{ '{:5d}|'.format(3) }}",
    "{{ '{{}}'.format(1) }}",
    "{{ '%5.2f' | format(2.5) }}",
    "{{ 'abc'.translate({97: 'x'}) }}",
    "{{ '٤' | int }}",
    "{{ '٤' | float }}",
    "{{ ('<a>' | e) | replace('a', '<') }}",
    "{{ '<b>x</b> y' | striptags }}",
    "{{ 'a b c d e f' | truncate(7) }}",
    "{{ 'abc def' | truncate(5, true) }}",
    "{{ 'abc' | truncate(3) }}",
    "{{ 'a b c d e f' | truncate(7, true, '..', 0) }}",
    "{{ 'abc def ghi' | wordwrap(5) }}",
    "{{ 'abc def' | center(11) ~ '|' }}",
    "{{ 'a b' | urlencode }}",
    "{{ 'http://x.y z' | urlize }}",
    "{{ 1000000 | filesizeformat }}",
    "{{ {'a': 1, 'b': n} | xmlattr }}",
    "{{ d | pprint }}",
    "{{ cycler('a', 'b').next() }}",
    "{{ joiner(',')() }}",
    "{{ self }}",
    "{% for x in l %}{{ loop }}{% endfor %}",
    "{% macro f(x) %}{{ x }}{{ varargs }}{% endmacro %}{{ f(1, 2, 3) }}",
    "{% macro f(x) %}{{ x }}{{ kwargs }}{% endmacro %}{{ f(1, z=3) }}",
    "{% macro f() %}{% endmacro %}{{ f }}",
    "{% block a %}x{{ self.a is defined }}{% endblock %}",
    "{% autoescape true %}{{ '<a>' }}{% endautoescape %}",
];

/// The row of all templates.
fn row(row: &str) -> (TempDir, Vec<Record>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("row.jsonl");
    fs::write(&path, row).unwrap();
    let records = read_records(&path).unwrap();
    (dir, records)
}

/// The text of a template. A mark in front keeps it from being empty, which a row must not be.
fn render(template: &str, rows: &[Record], loaded: &ModelTokenizer) -> Result<String, String> {
    let given = format!("§{template}");
    let chat = ChatSource::read(Path::new("model"), &[], Some((&given, "template")), Clock::now());
    let chat = Some(Arc::new(chat.map_err(|error| error.to_string())?));
    let config = EncoderConfig { chat, targets: false, ..EncoderConfig::new(Task::CausalLm, 400) };
    let encoder = config.init(Some(loaded.tokenizer.clone())).map_err(|error| error.to_string())?;
    let encoded = encoder.encode(rows).map_err(|error| error.to_string())?;
    let text = loaded.tokenizer.decode(&encoded.examples[0].input_ids, false).unwrap();
    Ok(text.strip_prefix('§').unwrap().to_owned())
}

#[test]
fn templates_give_the_text_of_jinja_or_an_error() {
    let text = fs::read_to_string(vectors("chat/jinja.json")).unwrap();
    let vector: Value = serde_json::from_str(&text).unwrap();
    let loaded = ModelTokenizer::load(&vectors("chat")).unwrap();
    let (_dir, rows) = row(vector["row"].as_str().unwrap());
    let (mut wrong, mut refused) = (Vec::new(), Vec::new());
    for pair in vector["templates"].as_array().unwrap() {
        let (template, expected) = (pair[0].as_str().unwrap(), pair[1].as_str());
        match (render(template, &rows, &loaded), expected) {
            (Ok(found), Some(expected)) if found == expected => {}
            (Err(_), None) => {}
            (Err(error), Some(_)) => refused.push((template.to_owned(), error)),
            (Ok(found), expected) => {
                wrong.push(format!("{template:?}: {found:?}, expected {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    let unexpected: Vec<String> = refused
        .iter()
        .filter(|(template, _)| !REFUSED.contains(&template.as_str()))
        .map(|(template, error)| format!("{template:?}: {error}"))
        .collect();
    assert!(unexpected.is_empty(), "refused:\n{}", unexpected.join("\n"));
    assert_eq!(refused.len(), REFUSED.len(), "what is rendered is still listed as refused");
}

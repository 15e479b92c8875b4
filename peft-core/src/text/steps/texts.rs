//! Steps on texts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::parts::{index, put, replaced};
use crate::{
    error::Result,
    text::{
        record::{Record, describe},
        template::Template,
    },
};

/// A row with one field, which is an object, becomes that object.
pub(super) fn unwrap(mut row: Record) -> Record {
    if row.fields.len() == 1
        && let Some(Value::Object(inner)) = row.fields.values().next()
    {
        row.fields = inner.clone();
        row.ordered = None;
    }
    row
}

/// A field gets another name, if the row has none of that name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// The field.
    pub(super) field: String,
    /// Its new name.
    #[serde(rename = "as")]
    to: String,
}

impl Rename {
    pub(super) fn apply(&self, mut row: Record) -> Record {
        let is_free = !row.has(&self.to) && !row.is_repeated(&self.field);
        if let Some(value) = row.optional(&self.field).filter(|_| is_free).cloned() {
            row.fields.remove(&self.field);
            put(&mut row, &self.to, value);
            // What the file says of its classes goes with it.
            if let Some(aside) = row.aside.as_mut()
                && aside.class_names.iter().any(|names| names.field == self.field)
            {
                let names = &mut Arc::make_mut(aside).class_names;
                let own = names.iter_mut().filter(|names| names.field == self.field);
                own.for_each(|names| names.field.clone_from(&self.to));
            }
        }
        row
    }
}

/// A field is made from a template, if the row has the template's fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The field.
    field: String,
    /// The template.
    template: String,
}

impl Set {
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        Template::parse(&self.template, "template").map(drop).map_err(|error| error.to_string())
    }

    pub(super) fn apply(&self, mut row: Record) -> Result<Record> {
        let template = Template::parse(&self.template, "template")?;
        if template.required_fields().all(|name| row.has(name)) {
            let text = template.render(&row)?;
            put(&mut row, &self.field, text.into());
        }
        Ok(row)
    }
}

/// Parts of a text are replaced, one pair after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// The field.
    pub(super) field: String,
    /// What is replaced, and by what.
    with: Vec<[String; 2]>,
}

impl Replace {
    pub(super) fn apply(&self, mut row: Record) -> Result<Record> {
        let Some(text) = row.optional_text(&self.field)? else { return Ok(row) };
        let text = replaced(text, &self.with);
        put(&mut row, &self.field, text.into());
        Ok(row)
    }
}

/// `name[value], name[value]`, as E2E writes what a text is to say, becomes a list of `{"name", "value"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    /// The field that holds the text.
    pub(super) field: String,
    /// The field that holds the list.
    #[serde(rename = "as")]
    to: String,
}

impl Pairs {
    pub(super) fn apply(&self, mut row: Record) -> Result<Record> {
        let Some(text) = row.optional_text(&self.field)? else { return Ok(row) };
        let (mut rest, mut pairs) = (text.trim(), Vec::new());
        while !rest.is_empty() {
            let pair = rest.split_once('[').and_then(|(name, rest)| {
                // A value may hold brackets: it ends where the next name begins, or the text.
                let end = rest.find("], ").or_else(|| rest.strip_suffix(']').map(str::len))?;
                Some((
                    name.trim(),
                    rest[..end].trim(),
                    rest[end + 1..].trim_start_matches([',', ' ']),
                ))
            });
            let Some((name, value, behind)) = pair.filter(|(name, ..)| !name.is_empty()) else {
                let field = &self.field;
                return Err(
                    row.error(format!("field `{field}`: found {rest:?}, expected name[value]"))
                );
            };
            pairs.push(json!({"name": name, "value": value}));
            rest = behind;
        }
        put(&mut row, &self.to, pairs.into());
        Ok(row)
    }
}

/// Places in a text, `{"start", "end"}` in characters with the end included, become the list of what is there, each once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spans {
    /// The field that holds the text.
    text: String,
    /// The list of places.
    pub(super) list: String,
    /// The field that holds what is there.
    #[serde(rename = "as")]
    to: String,
}

impl Spans {
    pub(super) fn apply(&self, mut row: Record) -> Result<Record> {
        let (Some(text), Some(places)) = (row.optional_text(&self.text)?, row.optional(&self.list))
        else {
            return Ok(row);
        };
        let field = &self.list;
        let Value::Array(places) = places else {
            return Err(
                row.error(format!("field `{field}`: found {}, expected a list", describe(places)))
            );
        };
        let characters: Vec<char> = text.chars().collect();
        let mut found: Vec<Value> = Vec::new();
        for (index, place) in places.iter().enumerate() {
            let number = |key: &str| usize::try_from(place.get(key)?.as_u64()?).ok();
            let part = number("start")
                .zip(number("end"))
                .and_then(|(start, end)| characters.get(start..=end));
            let Some(part) = part else {
                let count = characters.len();
                return Err(row.error(format!(
                    "field `{field}[{index}]`: found {place}, expected start and end in a text of {count} characters"
                )));
            };
            let part = Value::from(part.iter().collect::<String>());
            if !found.contains(&part) {
                found.push(part);
            }
        }
        put(&mut row, &self.to, found.into());
        Ok(row)
    }
}

/// A word of a text is marked on both sides, such as the pronoun of a Winograd schema: `Tom if *he* could`.
///
/// The text's words are what stands between single blanks. Punctuation behind the word is set apart by a blank. Where
/// the index is that of another word, as it is in a few rows of SuperGLUE's WSC, the next word that fits is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The field that holds the text.
    pub(super) text: String,
    /// The field that holds the place of the word, from 0.
    index: String,
    /// The field that holds the word.
    word: String,
    /// The mark.
    mark: String,
    /// The field that holds the marked text.
    #[serde(rename = "as")]
    to: String,
}

impl Mark {
    pub(super) fn apply(&self, mut row: Record) -> Result<Record> {
        let (Some(place), Some(text), Some(word)) = (
            index(&row, &self.index)?,
            row.optional_text(&self.text)?,
            row.optional_text(&self.word)?,
        ) else {
            return Ok(row);
        };
        let word = word.trim();
        let words: Vec<&str> = text.split(' ').collect();
        let behind = |found: &&str| -> Option<String> {
            let rest = found.strip_prefix(word)?;
            (!word.is_empty() && !rest.starts_with(char::is_alphanumeric)).then(|| rest.to_owned())
        };
        let found =
            words.iter().enumerate().skip(place).find_map(|(at, one)| Some((at, behind(one)?)));
        let Some((at, rest)) = found else {
            let (field, count) = (&self.index, words.len());
            return Err(row.error(format!(
                "field `{field}`: found {place}, but from there on none of the {count} words is {word:?}"
            )));
        };
        let mark = &self.mark;
        let marked = match rest.is_empty() {
            true => format!("{mark}{word}{mark}"),
            false => format!("{mark}{word}{mark} {rest}"),
        };
        let mut words: Vec<&str> = words;
        words[at] = &marked;
        let text = words.join(" ").trim_end().to_owned();
        put(&mut row, &self.to, text.into());
        Ok(row)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::text::{record::tests::record, steps::Steps};

    fn row(steps: Value, row: Value) -> Result<Map<String, Value>> {
        let mut rows = Steps::parse(&steps).unwrap().apply(record(3, row), false)?;
        assert_eq!(rows.len(), 1);
        Ok(rows.remove(0).fields)
    }

    #[test]
    fn texts_are_made_and_changed() {
        let set = json!([{"set": {"field": "text", "template": "{a.b} and {c?}"}}]);
        assert_eq!(row(set.clone(), json!({"a": {"b": "x"}})).unwrap()["text"], "x and ");
        assert_eq!(row(set, json!({"text": "own"})).unwrap()["text"], "own");
        let replace = json!([{"replace": {"field": "p", "with": [["\n@highlight\n", ". "], ["<b>", ""], ["", "x"]]}}]);
        assert_eq!(row(replace.clone(), json!({"p": "<b>a\n@highlight\nb"})).unwrap()["p"], "a. b");
        assert!(row(replace, json!({"p": 1})).is_err());
        let unwrap = json!([{"unwrap": true}]);
        assert_eq!(row(unwrap.clone(), json!({"7": {"a": 1, "b": 2}})).unwrap()["b"], 2);
        assert_eq!(row(unwrap, json!({"7": {"a": 1}, "c": 2})).unwrap()["c"], 2);
    }

    #[test]
    fn fields_get_other_names() {
        let rename = json!([{"rename": {"field": "ner_tags", "as": "tags"}}]);
        assert_eq!(
            row(rename.clone(), json!({"ner_tags": [1]})).unwrap(),
            *json!({"tags": [1]}).as_object().unwrap()
        );
        let both = json!({"ner_tags": [1], "tags": [2]});
        assert_eq!(row(rename, both.clone()).unwrap(), *both.as_object().unwrap());
    }

    #[test]
    fn places_become_what_is_there() {
        let spans = json!([{"spans": {"text": "p.text", "list": "p.entities", "as": "entities"}}]);
        let of = |places: Value| {
            row(spans.clone(), json!({"p": {"text": "Zoë met Al and Zoë", "entities": places}}))
        };
        let places =
            json!([{"start": 8, "end": 9}, {"start": 0, "end": 2}, {"start": 15, "end": 17}]);
        assert_eq!(of(places).unwrap()["entities"], json!(["Al", "Zoë"]));
        for bad in [
            json!([{"start": 3, "end": 18}]),
            json!([{"start": 3, "end": 1}]),
            json!([1]),
            json!({"a": 1}),
        ] {
            assert!(of(bad.clone()).unwrap_err().to_string().contains("p.entities"), "{bad}");
        }
    }

    #[test]
    fn pairs_are_taken_apart() {
        let pairs = json!([{"pairs": {"field": "mr", "as": "pairs"}}]);
        let mr = "name[Blue Spice], priceRange[£20-25], near[Café [old]], area[a, b]";
        let found = row(pairs.clone(), json!({ "mr": mr })).unwrap();
        let expected = json!([
            {"name": "name", "value": "Blue Spice"}, {"name": "priceRange", "value": "£20-25"},
            {"name": "near", "value": "Café [old]"}, {"name": "area", "value": "a, b"}
        ]);
        assert_eq!(found["pairs"], expected);
        for bad in ["name", "name[a", "[a]", "name[a], more"] {
            let error = row(pairs.clone(), json!({ "mr": bad })).unwrap_err().to_string();
            assert!(error.contains("expected name[value]"), "{error}");
        }
    }

    /// The rows of WSC that T5's code treats by hand are among these.
    #[test]
    fn the_pronoun_is_marked() {
        let mark = json!([{"mark": {"text": "text", "index": "i", "word": "w", "mark": "*", "as": "marked"}}]);
        for (text, index, word, expected) in [
            (
                "Mitchell asked Tom if he could lend some money.",
                4,
                "he",
                "Mitchell asked Tom if *he* could lend some money.",
            ),
            ("\"Good for him,\" he said. ", 2, "him", "\"Good for *him* ,\" he said."),
            ("they might want to use it , but", 4, "it", "they might want to use *it* , but"),
            ("he said, \"hello\" to her", 0, "he", "*he* said, \"hello\" to her"),
        ] {
            let found = row(mark.clone(), json!({"text": text, "i": index, "w": word})).unwrap();
            assert_eq!(found["marked"], expected);
        }
        let error =
            row(mark.clone(), json!({"text": "a b", "i": 1, "w": "a"})).unwrap_err().to_string();
        assert!(error.contains("none of the 2 words is \"a\""), "{error}");
        assert!(row(mark, json!({"text": "a b"})).unwrap().get("marked").is_none());
    }
}

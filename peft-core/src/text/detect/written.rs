//! Sources and targets, and instructions with their input.

use super::search::Search;
use crate::{
    contract::task::Task,
    error::Result,
    text::{fields::Role, template::Template},
};

/// A source and its target.
const SOURCES: &[(&str, &str)] = &[
    ("prompt", "completion"),
    ("prompt", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
    ("input", "output"),
    ("inputs", "targets"),
    ("article", "highlights"),
    ("document", "summary"),
    ("dialogue", "summary"),
    ("input_text", "target_text"),
    ("src", "tgt"),
    ("mr", "ref"),
    ("meaning_representation", "human_reference"),
];
/// What belongs to an instruction, where a row has it.
const INPUTS: &[&str] = &["input", "context"];
/// Fields of a conversation, which has neither source nor target.
const CONVERSATIONS: &[&str] = &["messages", "conversations"];

impl Search<'_> {
    /// A source and a target, or one text. Returns the template of an instruction and its input.
    pub(super) fn written(&mut self) -> Result<Option<Template>> {
        let wanted = *self.wanted;
        let templated = wanted.source_template || wanted.target_template;
        if !templated && (wanted.task == Task::CausalLm || !wanted.targets) && self.named_text()? {
            return Ok(None);
        }
        let (mut source, target) = (self.named(Role::Source)?, self.named(Role::Target)?);
        if wanted.given.get(Role::Source).is_none()
            && source.as_deref() == Some(Role::Source.name())
        {
            // Others were trained with a `source`; without its target it may say where a row comes from.
            let lacks_target = target.is_none() && self.spelled(Role::Target.name()).is_none();
            let has_pair = !self.pairs().is_empty();
            source = source.filter(|_| !(wanted.targets && lacks_target && has_pair));
            self.more |= source.is_some() && has_pair;
        }
        let nothing_said = !templated && source.is_none() && target.is_none();
        let named_source = source.clone();
        let source = match source {
            None if !wanted.source_template => self.own_source(target.as_deref(), nothing_said)?,
            source => source,
        };
        if nothing_said
            && (wanted.task == Task::CausalLm || !wanted.targets)
            && self.one_text(&source)?
        {
            return Ok(None);
        }
        let target = match target {
            None if wanted.targets && !wanted.target_template => {
                self.own_target(source.as_deref(), named_source.is_some())?
            }
            target => target,
        };
        let need_source = source.is_none() && !wanted.source_template;
        let need_target = wanted.targets && target.is_none() && !wanted.target_template;
        let pairs = self.pairs();
        let mut sources: Vec<String> = pairs.iter().map(|(source, _)| source.clone()).collect();
        let mut targets: Vec<String> = pairs.into_iter().map(|(_, target)| target).collect();
        // Where one of the two is known, the other need not be its usual partner.
        if need_source != need_target {
            let others = |names: Vec<String>, known: &Option<String>| {
                names.into_iter().filter(|name| Some(name) != known.as_ref()).collect::<Vec<_>>()
            };
            sources = others(self.of_names(&usual(|pair| pair.0)), &target);
            targets = others(self.of_names(&usual(|pair| pair.1)), &source);
        }
        if need_source && need_target && sources.is_empty() && !self.has_conversations() {
            (sources, targets) = self.strangers()?;
        }
        self.without_inputs(&mut sources);
        let mut template = None;
        if need_source {
            match distinct(sources).as_slice() {
                [] if self.has_conversations() => return Ok(None),
                [] => {
                    let known = [&["source"], usual(|pair| pair.0).as_slice()].concat();
                    return Err(self.none(Role::Source, &known));
                }
                [source] => template = self.take_source(source, &targets)?,
                several => return Err(self.several(Role::Source, several)),
            }
        } else {
            self.take(Role::Source, source);
        }
        if need_target {
            match distinct(targets).as_slice() {
                [] => {
                    let known = [&["target"], usual(|pair| pair.1).as_slice()].concat();
                    return Err(self.none(Role::Target, &known));
                }
                [target] => self.take(Role::Target, Some(target.clone())),
                several => return Err(self.several(Role::Target, several)),
            }
        } else {
            self.take(Role::Target, target);
        }
        Ok(template)
    }

    /// The field called `source`, if that is what is to be read. Without a `target` it mostly says where a row comes
    /// from (`"source": "wikipedia"`): a usual pair, or the one text of a row, is then what is meant.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting), if another field may as well be the source.
    fn own_source(&mut self, target: Option<&str>, nothing_said: bool) -> Result<Option<String>> {
        let Some(own) = self.spelled_once(Role::Source)? else { return Ok(None) };
        let own_target = self.spelled(Role::Target.name());
        if own_target.is_some() && target.is_none_or(|target| own_target.as_deref() == Some(target))
        {
            let mut others = self.of_names(&usual(|pair| pair.0));
            self.without_inputs(&mut others);
            // `reddit` beside a prompt says where the row comes from, or is a text of one word.
            if !others.is_empty() && self.are_words(&own) {
                return Err(self.several(Role::Source, &distinct([others, vec![own]].concat())));
            }
            self.more |= !others.is_empty();
            return Ok(Some(own));
        }
        if self.pairs().iter().any(|(_, other)| target.is_none_or(|target| target == other)) {
            return Ok(None);
        }
        let mut others = self.of_names(&usual(|pair| pair.0));
        self.without_inputs(&mut others);
        let text = self.spelled(Role::Text.name()).or_else(|| self.spelled("content"));
        let text = text.filter(|_| self.wanted.task == Task::CausalLm && nothing_said);
        if let Some(text) = text.clone() {
            let could_have_target = !self.of_names(&usual(|pair| pair.1)).is_empty();
            if self.wanted.targets && others.is_empty() && !could_have_target {
                self.more = true;
                return Ok(None);
            }
            others.push(text);
        }
        match others.is_empty() {
            true => Ok(Some(own)),
            false => {
                let fitting = distinct([others, vec![own]].concat());
                Err(match text {
                    None => self.several(Role::Source, &fitting),
                    Some(text) => self.unclear(
                        Role::Source,
                        &format!(
                            "has several fields that fit: {}. Name the one to read here, or {text} in `text_field` to \
                             learn it alone",
                            fitting.join(", ")
                        ),
                    ),
                })
            }
        }
    }

    /// The field called `target`, if that is what is to be read: with a `source`, or a source that is `named`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting), if another field may as well be the target.
    fn own_target(&self, source: Option<&str>, is_named: bool) -> Result<Option<String>> {
        let Some(own) = self.spelled_once(Role::Target)? else { return Ok(None) };
        let is_own_pair =
            source.is_some() && source == self.spelled(Role::Source.name()).as_deref();
        let pairs = self.pairs();
        let of_pairs = pairs.iter().filter(|(other, _)| !is_named || source == Some(other));
        let others: Vec<String> = of_pairs.map(|(_, target)| target.clone()).collect();
        match is_own_pair || others.is_empty() {
            true => Ok(Some(own)),
            false => Err(self.several(Role::Target, &distinct([others, vec![own]].concat()))),
        }
    }

    /// Takes the one text that a row consists of by its name, whatever else a row has: a name that was given, if no
    /// other was, or a preferred one that every row has.
    fn named_text(&mut self) -> Result<bool> {
        let (given, preferred) = (self.wanted.given, self.wanted.preferred);
        if [Role::Source, Role::Target].iter().any(|role| given.get(*role).is_some()) {
            return Ok(false);
        }
        if given.get(Role::Text).is_none()
            && !preferred.get(Role::Text).is_some_and(|text| self.all_have(text))
        {
            return Ok(false);
        }
        let text = self.named(Role::Text)?;
        self.take(Role::Text, text);
        Ok(true)
    }

    /// Takes the one text that a row consists of, if it does: if there is no source.
    fn one_text(&mut self, source: &Option<String>) -> Result<bool> {
        let pairs = self.pairs();
        let text = match source {
            Some(_) => None,
            None => {
                let text = match self.spelled_once(Role::Text)? {
                    None if pairs.is_empty() => self.spelled("content"),
                    text => text,
                };
                self.more |= text.is_some() && !pairs.is_empty();
                match &text {
                    Some(text) if pairs.is_empty() => self.refuse_a_target_beside(text)?,
                    _ => {}
                }
                text
            }
        };
        let found = text.is_some();
        self.take(Role::Text, text);
        Ok(found)
    }

    /// Refuses rows of one text that have what may be its target: nothing says whether the text is learnt, or the target.
    fn refuse_a_target_beside(&self, text: &str) -> Result<()> {
        let targets = [&["target"], usual(|pair| pair.1).as_slice()].concat();
        let found = self.of_names(&targets);
        match found.first().filter(|_| self.wanted.targets) {
            None => Ok(()),
            Some(target) => Err(self.unclear(
                Role::Text,
                &format!(
                    "has {text}, and {}, which may be its target. Name {text} here to learn it alone, or in \
                     `source_field`, and {target} in `target_field`",
                    found.join(" and ")
                ),
            )),
        }
    }

    /// The usual pairs that the file has.
    fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = self.fitting_pairs(SOURCES);
        if self.wanted.task == Task::Seq2SeqLm && self.wanted.targets {
            pairs.extend(self.fitting_pairs(&[("text", "summary")]));
        }
        if pairs.iter().any(|(source, _)| self.is_called(source, "instruction")) {
            pairs.retain(|(source, _)| !self.is_called(source, "input"));
        }
        pairs
    }

    /// A usual source and a usual target that are no usual pair, if the file has one of each.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the one that is missing, if the other is there.
    fn strangers(&self) -> Result<(Vec<String>, Vec<String>)> {
        let mut sources = self.of_names(&usual(|pair| pair.0));
        let targets = self.of_names(&usual(|pair| pair.1));
        self.without_inputs(&mut sources);
        let missing = |role, known: &[&str]| self.none(role, &[&[role.name()], known].concat());
        match (sources.as_slice(), targets.as_slice()) {
            ([], [_, ..]) => Err(missing(Role::Source, &usual(|pair| pair.0))),
            ([_, ..], []) => Err(missing(Role::Target, &usual(|pair| pair.1))),
            _ => Ok((sources, targets)),
        }
    }

    /// Beside an instruction its input is no source of its own.
    fn without_inputs(&self, sources: &mut Vec<String>) {
        if sources.iter().any(|source| self.is_called(source, "instruction")) {
            sources.retain(|source| INPUTS.iter().all(|input| !self.is_called(source, input)));
        }
    }

    /// Takes a source that was found; an instruction together with its input.
    fn take_source(&mut self, source: &str, targets: &[String]) -> Result<Option<Template>> {
        let mut inputs = self.of_names(INPUTS);
        inputs.retain(|input| !targets.contains(input));
        let plain = |name: &str| !name.contains(['{', '}', '?', '|']);
        match inputs.as_slice() {
            [input] if self.is_called(source, "instruction") && plain(input) && plain(source) => {
                let text = format!("{{{source}}}{{?\n{{{input}}}?}}");
                self.taken.push((Role::Source, format!("{source} and {input}")));
                Template::parse(&text, "source_template").map(Some)
            }
            [_, _, ..] if self.is_called(source, "instruction") => {
                Err(self.several(Role::Source, &inputs))
            }
            _ => {
                self.take(Role::Source, Some(source.to_owned()));
                Ok(None)
            }
        }
    }

    fn has_conversations(&self) -> bool {
        CONVERSATIONS.iter().any(|name| self.spelled(name).is_some())
    }
}

/// One side of the usual pairs.
fn usual(side: fn(&(&'static str, &'static str)) -> &'static str) -> Vec<&'static str> {
    let mut names: Vec<&str> = SOURCES.iter().map(side).collect();
    let mut known = std::collections::BTreeSet::new();
    names.retain(|name| known.insert(*name));
    names
}

fn distinct(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

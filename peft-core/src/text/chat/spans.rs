//! Which part of a rendered conversation is the assistant's.
//!
//! A template with generation blocks says so itself, as for transformers' `return_assistant_tokens_mask`. Without
//! them, an answer is what a longer conversation adds: what stands between the messages before it, rendered with the
//! prompt that asks for an answer, and the messages up to it (as TRL masks a prompt and its completion).

use std::ops::Range;

use super::{
    messages::{BEGINS, Conversation},
    source::ChatSource,
    template::{ChatTemplate, Rendered},
};

/// A conversation's text, and what the assistant says in it, in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::text) struct Learnt {
    pub(in crate::text) text: String,
    pub(in crate::text) spans: Vec<Range<usize>>,
}

/// Renders a conversation to learn from.
///
/// # Errors
/// Why it cannot be rendered, or the assistant's part not be found.
pub(in crate::text) fn learnt(
    source: &ChatSource,
    conversation: &Conversation,
) -> Result<Learnt, String> {
    let template = source.template(conversation.has_tools())?;
    if conversation.assistant().next().is_none() {
        return Err(format!(
            "has no message of the assistant, so there is nothing to learn; the roles are {}",
            conversation.roles()
        ));
    }
    let learnt = conversation.learnt()?;
    if learnt.is_empty() {
        return Err(
            "every message of the assistant is marked as not to be learnt, so there is nothing to learn: leave the \
             row out"
                .to_owned(),
        );
    }
    let render = |count, prompt| render(source, template, conversation, count, prompt);
    let explained = |error| explained(conversation, error);
    let whole = render(conversation.len(), false).map_err(explained)?;
    if template.marks() {
        let spans = match learnt.len() == conversation.assistant().count() {
            true => whole.generated,
            false => blocks_of(&learnt, &whole, conversation, |count| {
                render(count, false).map_err(explained)
            })?,
        };
        return Ok(Learnt { text: whole.text, spans });
    }
    let mut spans = Vec::new();
    for i in learnt {
        let before = render(i, true).map_err(|error| not_alone(i, &error))?;
        let start = beginning(&whole.text, &before.text, i, true)?;
        let end = match i + 1 == conversation.len() {
            true => whole.text.len(),
            false => {
                let until = render(i + 1, false).map_err(explained)?;
                beginning(&whole.text, &until.text, i + 1, false)?
            }
        };
        if end < start {
            return Err(format!("message {} of the assistant is not rendered", i + 1));
        }
        spans.push(start..end);
    }
    Ok(Learnt { text: whole.text, spans })
}

/// The generation blocks of the messages `learnt`: a message has those that a rendering up to it has more than one of
/// the messages before it. A template may mark a message only where it is the last, so they have to begin at the same
/// place in the whole, whatever they end with there, or, where every message has some, to say the same.
fn blocks_of(
    learnt: &[usize],
    whole: &Rendered,
    conversation: &Conversation,
    part: impl Fn(usize) -> Result<Rendered, String>,
) -> Result<Vec<Range<usize>>, String> {
    let untold = |i: usize| {
        format!(
            "which of the chat template's generation blocks is that of message {} cannot be told, and some messages \
             are marked as not to be learnt: leave the row out",
            i + 1
        )
    };
    let said = |rendered: &Rendered, blocks: &[Range<usize>]| -> Vec<String> {
        blocks.iter().map(|block| rendered.text[block.clone()].to_owned()).collect()
    };
    let (mut kept, mut before) = (Vec::new(), 0);
    let (mut without, mut elsewhere) = (None, false);
    for i in conversation.assistant() {
        let start = if i == 0 { 0 } else { part(i)?.generated.len() };
        let until = (i + 1 < conversation.len()).then(|| part(i + 1)).transpose()?;
        let until = until.as_ref().unwrap_or(whole);
        let end = until.generated.len();
        let own = whole.generated.get(start..end).filter(|_| start == before);
        let own = own.ok_or_else(|| untold(i))?;
        let of_part = &until.generated[start..end];
        let is_there = own.iter().zip(of_part).all(|(own, of_part)| own.start == of_part.start);
        if !is_there && said(whole, own) != said(until, of_part) {
            return Err(untold(i));
        }
        elsewhere |= !is_there;
        without = without.or(own.is_empty().then_some(i));
        kept.extend(learnt.contains(&i).then_some(own).into_iter().flatten().cloned());
        before = end;
    }
    if before != whole.generated.len() {
        return Err(untold(conversation.len() - 1));
    }
    match without.filter(|_| elsewhere) {
        Some(i) => Err(untold(i)),
        None => Ok(kept),
    }
}

/// Why the beginning of an answer is not known.
fn not_alone(before: usize, error: &str) -> String {
    let what = match before {
        0 => format!("{BEGINS}, and the template renders nothing without a message before that"),
        1 => "the message before the assistant's is not rendered alone".to_owned(),
        _ => format!("the {before} messages before the assistant's are not rendered alone"),
    };
    let way_out = match before {
        0 => "put a message of the user in front, or leave the row out",
        _ => "leave the row out",
    };
    format!(
        "the assistant's part cannot be found: {what} ({error}); {way_out}, or give a template that marks what the \
         assistant says, with {{% generation %}} and {{% endgeneration %}}, as `chat_template`"
    )
}

/// Renders a conversation that the assistant is to continue. What the assistant says at its end is left out: it is
/// the target.
///
/// # Errors
/// Why it cannot be rendered.
pub(in crate::text) fn continued(
    source: &ChatSource,
    conversation: &Conversation,
) -> Result<String, String> {
    let template = source.template(conversation.has_tools())?;
    let mut count = conversation.len();
    for i in conversation.assistant().collect::<Vec<_>>().into_iter().rev() {
        if i + 1 == count {
            count = i;
        }
    }
    if count == 0 {
        return Err("has no message before the assistant's, so there is nothing to continue".into());
    }
    let rendered = render(source, template, conversation, count, true);
    rendered.map(|rendered| rendered.text).map_err(|error| explained(conversation, error))
}

fn render(
    source: &ChatSource,
    template: &ChatTemplate,
    conversation: &Conversation,
    count: usize,
    add_prompt: bool,
) -> Result<Rendered, String> {
    let mut variables = conversation.variables(count, add_prompt);
    variables.extend(source.special_tokens());
    template.render(variables)
}

/// Why a conversation cannot be rendered, with what the template may not have expected of it.
fn explained(conversation: &Conversation, error: String) -> String {
    match conversation.peculiarities() {
        none if none.is_empty() => error,
        peculiar => format!("{error} ({peculiar})"),
    }
}

/// The length of a part that has to be the beginning of the whole text.
fn beginning(whole: &str, part: &str, count: usize, prompted: bool) -> Result<usize, String> {
    if whole.starts_with(part) {
        return Ok(part.len());
    }
    let same = whole.chars().zip(part.chars()).take_while(|(a, b)| a == b).count();
    let excerpt = |text: &str| -> String { text.chars().skip(same).take(20).collect() };
    let with = if prompted { ", with the prompt that asks for an answer," } else { "" };
    Err(format!(
        "the assistant's part cannot be found: the chat template has no generation blocks, and the first {count} \
         messages alone{with} are not how the whole conversation begins: found `{}`, expected `{}` at character {}. \
         Give a template that marks what the assistant says, with {{% generation %}} and {{% endgeneration %}}, as \
         `chat_template`",
        excerpt(part),
        excerpt(whole),
        same + 1,
    ))
}

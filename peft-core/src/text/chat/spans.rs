//! Which part of a rendered conversation is the assistant's.
//!
//! A template with generation blocks says so itself, as for transformers' `return_assistant_tokens_mask`. Without
//! them, an answer is what a longer conversation adds: what stands between the messages before it, rendered with the
//! prompt that asks for an answer, and the messages up to it (as TRL masks a prompt and its completion).

use std::ops::Range;

use super::{
    messages::Conversation,
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
        return Err("has no message of the assistant, so there is nothing to learn".to_owned());
    }
    let render = |count, prompt| render(source, template, conversation, count, prompt);
    let whole = render(conversation.len(), false)?;
    if template.marks() {
        return Ok(Learnt { text: whole.text, spans: whole.generated });
    }
    let mut spans = Vec::new();
    for i in conversation.assistant() {
        let start = beginning(&whole.text, &render(i, true)?.text, i, true)?;
        let end = match i + 1 == conversation.len() {
            true => whole.text.len(),
            false => beginning(&whole.text, &render(i + 1, false)?.text, i + 1, false)?,
        };
        if end < start {
            return Err(format!("message {} of the assistant is not rendered", i + 1));
        }
        spans.push(start..end);
    }
    Ok(Learnt { text: whole.text, spans })
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
    render(source, template, conversation, count, true).map(|rendered| rendered.text)
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

//! Whether a model, a head, a task and rows fit together.

use super::outputs::classifier;
use crate::{
    contract::{
        context_budget::ContextBudget, frozen::FrozenModel, head::Head, problem_type::ProblemType,
        spec::ModelSpec, task::Task, virtual_tokens::VirtualTokens,
    },
    data::{Example, IGNORE, Target},
    error::{Error, Result},
};

/// Checks that the model and the head can do a task.
///
/// # Errors
///
/// [`Error::Setting`] for a task that this kind of model cannot do, [`Error::Mismatch`] if a head
/// is missing, superfluous, or of another size.
pub fn check_task(model: &dyn FrozenModel, head: Option<&Head>, task: Task) -> Result<()> {
    check_topology(model.spec(), task)?;
    if let Some(head) = head.filter(|_| !task.is_language_model()) {
        head.check_shapes(model.head_layout(task), model.spec().hidden_size)?;
    }
    match task {
        task if task.is_language_model() && head.is_some() => {
            Err(Error::Mismatch(format!("{task} has no classification head to train")))
        }
        Task::CausalLm | Task::Seq2SeqLm => Ok(()),
        Task::SeqCls | Task::TokenCls => classifier(model, head, task).map(|_| ()),
        Task::QuestionAns => match classifier(model, head, task)?.num_classes() {
            2 => Ok(()),
            outputs => Err(Error::Mismatch(format!(
                "the head `{}` has {outputs} outputs, qa needs 2: start and end",
                model.head_layout(task).weight_name()
            ))),
        },
    }
}

/// Checks that this kind of model can do a task.
///
/// # Errors
///
/// [`Error::Setting`] if it cannot.
pub fn check_topology(spec: &ModelSpec, task: Task) -> Result<()> {
    let fail = |message: String| Err(Error::setting("task", message));
    match task {
        Task::Seq2SeqLm if !spec.is_encoder_decoder() => {
            fail(format!("seq2seq-lm needs an encoder-decoder, {} has one stack", spec.model_type))
        }
        Task::CausalLm | Task::SeqCls | Task::TokenCls | Task::QuestionAns
            if spec.is_encoder_decoder() =>
        {
            fail(format!(
                "{task} needs a model of one stack, {} has two and does seq2seq-lm",
                spec.model_type
            ))
        }
        Task::CausalLm if !spec.is_causal() => fail(format!(
            "causal-lm needs a decoder-only model, {} is none: an encoder does seq-cls, token-cls and qa",
            spec.model_type
        )),
        _ => Ok(()),
    }
}

/// Checks that all examples fit a model together with the virtual tokens.
///
/// # Errors
///
/// [`Error::TooLong`] with the first example that does not fit.
pub fn check_lengths<'a>(
    model: &dyn FrozenModel,
    virtual_tokens: &VirtualTokens,
    examples: impl IntoIterator<Item = &'a Example>,
) -> Result<()> {
    let budget =
        ContextBudget::new(model.spec(), virtual_tokens).with_uncounted(model.uncounted_token());
    examples
        .into_iter()
        .try_for_each(|example| budget.check_row(&example.input_ids, example.decoder_len(), 0))
}

/// Checks that rows of a task have a source and a target, if virtual tokens are an infix, which stands between them.
///
/// # Errors
///
/// [`Error::Setting`] for another task than [`Task::CausalLm`].
pub fn check_infix(virtual_tokens: &VirtualTokens, task: Task) -> Result<()> {
    if !virtual_tokens.infix || task == Task::CausalLm {
        return Ok(());
    }
    let message = format!(
        "an infix stands between the source and the target of a row of {}, and {task} has no such rows: leave \
         it out, for a prefix",
        Task::CausalLm
    );
    Err(Error::setting("infix", message))
}

/// What keeps an infix from having one place in a row, between its source and its target; `None` if nothing
/// does, or the row has no targets of tokens.
pub fn infix_fault(row: &Example) -> Option<&'static str> {
    let Target::Tokens(targets) = &row.target else { return None };
    let (source, target) = targets.split_at(row.source_len()?);
    if source.is_empty() {
        return Some(
            "found no source: the first token has a target. An infix stands between a source and a target: give \
             rows both, or train a prefix",
        );
    }
    let mut behind = target.iter().skip_while(|target| **target != IGNORE);
    behind.any(|target| *target != IGNORE).then_some(
        "found several targets with other tokens between them, as in a conversation of several turns. An infix \
         stands in front of one target: give each a row of its own, or train a prefix",
    )
}

/// Checks that an infix has one place in each example, if virtual tokens are one.
///
/// # Errors
///
/// [`Error::Mismatch`] naming the line of an example in which it has none, or several.
pub fn check_sources<'a>(
    virtual_tokens: &VirtualTokens,
    examples: impl IntoIterator<Item = &'a Example>,
) -> Result<()> {
    if !virtual_tokens.infix {
        return Ok(());
    }
    examples.into_iter().try_for_each(|example| match infix_fault(example) {
        Some(fault) => Err(Error::Mismatch(format!("the row of line {}: {fault}", example.line))),
        None => Ok(()),
    })
}

/// Checks that examples have targets of the kind that the task learns, or none, and of numbers all as many.
///
/// # Errors
///
/// [`Error::Mismatch`] naming the line of an example that has other targets.
pub fn check_targets<'a>(
    task: Task,
    problem_type: ProblemType,
    examples: impl IntoIterator<Item = &'a Example>,
) -> Result<()> {
    let has_values = problem_type.has_values();
    let mut first: Option<(usize, usize)> = None;
    for example in examples {
        let (tokens, side) = match task {
            Task::Seq2SeqLm => (example.decoder_len(), "decoder tokens"),
            _ => (example.input_ids.len(), "tokens"),
        };
        let of_tokens = matches!(task, Task::CausalLm | Task::Seq2SeqLm | Task::TokenCls);
        let found = match &example.target {
            Target::None => continue,
            Target::Class(_) if task == Task::SeqCls && !has_values => continue,
            Target::Values(values) if task == Task::SeqCls && has_values => {
                let (count, line) = *first.get_or_insert((values.len(), example.line));
                if values.len() == count {
                    continue;
                }
                return Err(Error::Mismatch(format!(
                    "the row of line {}: found {} numbers, expected {count}, as in the row of line {line}",
                    example.line,
                    values.len()
                )));
            }
            Target::Tokens(of) if of_tokens && of.len() == tokens => continue,
            Target::Span { start, end }
                if task == Task::QuestionAns && start <= end && *end < tokens =>
            {
                continue;
            }
            Target::Class(_) => "one class for the row".to_string(),
            Target::Values(values) => format!("{} numbers for the row", values.len()),
            Target::Tokens(of) => format!("{} targets for {tokens} {side}", of.len()),
            Target::Span { start, end } => {
                format!("an answer from token {start} to token {end} in {tokens} {side}")
            }
        };
        let what = if has_values { problem_type.name() } else { task.name() };
        return Err(Error::Mismatch(format!(
            "the row of line {}: found {found}, which {what} cannot learn from",
            example.line
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(target: Target) -> Example {
        Example::new(vec![1; 3], target, 1)
    }

    #[test]
    fn an_infix_needs_a_source_and_one_target() {
        let row = |targets: &[i64]| example(Target::Tokens(targets.to_vec()));
        let mut infix = VirtualTokens::none();
        infix.infix = true;
        let checked = |targets: &[i64]| check_sources(&infix, [&row(targets)]);
        for fits in [[IGNORE, 5, 6], [IGNORE, IGNORE, 6], [IGNORE; 3], [IGNORE, 5, IGNORE]] {
            assert!(checked(&fits).is_ok(), "{fits:?}");
        }
        for (refused, reason) in
            [([4, 5, 6], "line 1: found no source"), ([4, IGNORE, 6], "line 1: found no source")]
        {
            let error = checked(&refused).map_err(|error| error.to_string());
            assert!(error.is_err_and(|error| error.contains(reason)), "{refused:?}");
        }
        let turns = example(Target::Tokens(vec![IGNORE, 5, IGNORE, 7]));
        let error = check_sources(&infix, [&turns]).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("line 1: found several targets")));
        assert!(check_sources(&VirtualTokens::none(), [&turns, &row(&[4, 5, 6])]).is_ok());
        assert!(check_infix(&infix, Task::CausalLm).is_ok());
        assert!(check_infix(&VirtualTokens::none(), Task::SeqCls).is_ok());
        let error = check_infix(&infix, Task::TokenCls).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.starts_with("infix: an infix stands between")));
    }

    #[test]
    fn targets_of_another_task_are_refused() {
        let class = example(Target::Class(0));
        let tokens = |count| example(Target::Tokens(vec![0; count]));
        for (task, example, message) in [
            (Task::CausalLm, &class, "line 1: found one class for the row, which causal-lm"),
            (Task::SeqCls, &tokens(3), "found 3 targets for 3 tokens, which seq-cls"),
            (Task::TokenCls, &tokens(2), "found 2 targets for 3 tokens, which token-cls"),
        ] {
            let error = check_targets(task, ProblemType::SingleLabel, [example])
                .map_err(|error| error.to_string());
            assert!(error.is_err_and(|error| error.contains(message)), "{message}");
        }
        assert!(
            check_targets(Task::SeqCls, ProblemType::SingleLabel, [&class, &example(Target::None)])
                .is_ok()
        );
        let values = example(Target::Values(vec![0.5]));
        assert!(check_targets(Task::SeqCls, ProblemType::SingleLabel, [&values]).is_err());
        assert!(check_targets(Task::SeqCls, ProblemType::Regression, [&values]).is_ok());
        assert!(check_targets(Task::SeqCls, ProblemType::MultiLabel, [&class]).is_err());
        // Four numbers for two rows: a head of two outputs would take them for two each.
        let row = |count, line| Example::new(vec![1; 3], Target::Values(vec![1.0; count]), line);
        for problem_type in [ProblemType::Regression, ProblemType::MultiLabel] {
            let rows = [row(1, 4), example(Target::None), row(1, 5), row(3, 6)];
            assert!(check_targets(Task::SeqCls, problem_type, &rows[..3]).is_ok());
            let error = check_targets(Task::SeqCls, problem_type, &rows);
            let error = error.map_err(|error| error.to_string());
            let says = "the row of line 6: found 3 numbers, expected 1, as in the row of line 4";
            assert!(error.is_err_and(|error| error == says));
        }
        assert!(check_targets(Task::TokenCls, ProblemType::SingleLabel, [&tokens(3)]).is_ok());
    }
}

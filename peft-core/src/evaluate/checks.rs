//! Whether a model, a head, a task and rows fit together.

use super::outputs::classifier;
use crate::{
    contract::{
        context_budget::ContextBudget, frozen::FrozenModel, head::Head, problem_type::ProblemType,
        spec::ModelSpec, task::Task, virtual_tokens::VirtualTokens,
    },
    data::{Example, Target},
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
        Task::CausalLm if !spec.is_causal() => {
            fail(format!("causal-lm needs a decoder-only model, {} is none", spec.model_type))
        }
        _ => Ok(()),
    }
}

/// Checks that all examples fit a model together with the virtual tokens.
///
/// # Errors
///
/// [`Error::TooLong`] with the first example that does not fit.
pub fn check_lengths<'a>(
    spec: &ModelSpec,
    virtual_tokens: &VirtualTokens,
    examples: impl IntoIterator<Item = &'a Example>,
) -> Result<()> {
    let budget = ContextBudget::new(spec, virtual_tokens);
    examples
        .into_iter()
        .try_for_each(|example| budget.check(example.input_ids.len(), example.decoder_len(), 0))
}

/// Checks that examples have targets of the kind that the task learns, or none.
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
    for example in examples {
        let (tokens, side) = match task {
            Task::Seq2SeqLm => (example.decoder_len(), "decoder tokens"),
            _ => (example.input_ids.len(), "tokens"),
        };
        let of_tokens = matches!(task, Task::CausalLm | Task::Seq2SeqLm | Task::TokenCls);
        let found = match &example.target {
            Target::None => continue,
            Target::Class(_) if task == Task::SeqCls && !has_values => continue,
            Target::Values(_) if task == Task::SeqCls && has_values => continue,
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
        assert!(check_targets(Task::TokenCls, ProblemType::SingleLabel, [&tokens(3)]).is_ok());
    }
}

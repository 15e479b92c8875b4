//! Predictions that say nothing: the same for all rows, although what they should be differs.

use super::spans::{Answer, text};
use crate::{
    contract::task::Task,
    data::{Example, Target},
};

/// What is predicted everywhere although the targets differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constant {
    /// One class for all rows.
    Class(usize),
    /// One class for all tokens.
    Tag(usize),
    /// The same classes for all rows, in their order; there may be none.
    Classes(Vec<usize>),
    /// That no question has an answer.
    NoAnswer,
    /// The same answer to all questions.
    Answer(String),
    /// The answer to all questions from the same tokens of their rows, counted from 0, inclusive.
    Span(usize, usize),
}

/// The predicted and the correct class of each target of an example.
pub(super) type Pairs = Vec<(usize, usize)>;

/// The class that is predicted for all targets of a task, whose own differ.
pub(super) fn of_classes(task: Task, answers: &[Pairs]) -> Option<Constant> {
    let class = same(answers.iter().flatten().map(|pair| pair.0))?;
    same(answers.iter().flatten().map(|pair| pair.1)).is_none().then_some(())?;
    match task {
        Task::SeqCls => Some(Constant::Class(class)),
        Task::TokenCls => Some(Constant::Tag(class)),
        Task::CausalLm | Task::Seq2SeqLm | Task::QuestionAns => None,
    }
}

/// The classes that are predicted for all rows, whose own differ.
pub(super) fn of_sets(found: &[Vec<bool>], expected: &[Vec<bool>]) -> Option<Constant> {
    let has = same(found.iter())?;
    let classes = (0..has.len()).filter(|class| has[*class]).collect();
    same(expected.iter()).is_none().then_some(Constant::Classes(classes))
}

/// What is answered to all questions whose right answers, which differ, are known.
pub(super) fn of_answers(examples: &[Example], answers: &[Answer]) -> Option<Constant> {
    let known = answers.iter().filter_map(|answer| {
        let example = &examples[answer.example];
        Some((example, answer, wanted(example)?))
    });
    same(known.clone().map(|(_, _, wanted)| wanted)).is_none().then_some(())?;
    let is_null = |answer: &Answer| answer.null.is_some_and(|null| null.is_chosen);
    // With answers to some of them only, they are not the same.
    if same(known.clone().map(|(_, answer, _)| is_null(answer)))? {
        return Some(Constant::NoAnswer);
    }
    let texts = known.clone().map(|(example, answer, _)| text(example, answer));
    match same(texts) {
        Some("") | None => {
            let (start, end) = same(known.map(|(_, answer, _)| (answer.start, answer.end)))?;
            Some(Constant::Span(start, end))
        }
        Some(text) => Some(Constant::Answer(text.to_owned())),
    }
}

/// What tells right answers apart: their texts, or the tokens of a row of token ids.
#[derive(PartialEq)]
enum Wanted<'e> {
    Texts(&'e [String]),
    Tokens(usize, usize),
}

fn wanted(example: &Example) -> Option<Wanted<'_>> {
    match (&example.window, &example.target) {
        (Some(window), _) => window.passage.answers.as_deref().map(Wanted::Texts),
        (None, Target::Span { start, end }) => Some(Wanted::Tokens(*start, *end)),
        _ => None,
    }
}

/// The value that all of them have; `None` if they differ, or there are none.
fn same<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        data::{Passage, Window},
        evaluate::NullAnswer,
    };

    #[test]
    fn one_class_for_all_is_told_where_targets_differ() {
        let of = |answers: &[Pairs]| of_classes(Task::TokenCls, answers);
        assert_eq!(of(&[vec![(1, 1), (1, 0)], vec![(1, 1)]]), Some(Constant::Tag(1)));
        let rows = [vec![(2, 1)], vec![(2, 0)]];
        assert_eq!(of_classes(Task::SeqCls, &rows), Some(Constant::Class(2)));
        assert_eq!(of_classes(Task::Seq2SeqLm, &rows), None);
        for others in [
            &[vec![(1, 1)], vec![], vec![(1, 1)]][..],
            // Wrong everywhere, but there is nothing to tell apart.
            &[vec![(1, 0), (1, 0)]],
            &[vec![(1, 1), (0, 1), (0, 0)]],
            &[],
        ] {
            assert_eq!(of(others), None, "{others:?}");
        }
    }

    #[test]
    fn the_same_classes_for_all_are_told_where_those_of_the_rows_differ() {
        let (none, first, both) = (vec![false, false], vec![true, false], vec![true, true]);
        let differ = [none.clone(), first.clone()];
        let of = |found: &Vec<bool>| of_sets(&[found.clone(), found.clone()], &differ);
        assert_eq!(of(&none), Some(Constant::Classes(vec![])));
        assert_eq!(of(&both), Some(Constant::Classes(vec![0, 1])));
        assert_eq!(of_sets(&differ, &differ), None);
        assert_eq!(of_sets(&[none.clone(), none], &[first.clone(), first]), None);
    }

    /// A question about "x y", a token a letter, with its right answers.
    fn question(answers: Option<&[&str]>) -> Example {
        let answers = answers.map(|list| list.iter().map(|text| (*text).to_owned()).collect());
        let passage = Arc::new(Passage { context: "x y".into(), answers });
        let window = Window { passage, bytes: vec![None, Some((0, 1)), Some((2, 3))] };
        let target = Target::Span { start: 1, end: 1 };
        Example { window: Some(window), ..Example::new(vec![1; 3], target, 1) }
    }

    fn answer(example: usize, place: usize, null: Option<bool>) -> Answer {
        let null = null.map(|is_chosen| NullAnswer {
            score_diff: 0.0,
            score: 0.0,
            is_chosen,
            probability: 0.5,
        });
        Answer { example, start: place, end: place, probability: 0.5, score: 0.0, null }
    }

    #[test]
    fn the_same_answer_to_all_is_told_where_the_right_ones_differ() {
        let differ = [question(Some(&["x"])), question(Some(&["y"])), question(None)];
        let of = |examples: &[Example], places: [usize; 2], null: [Option<bool>; 2]| {
            let given = [0, 1].map(|at| answer(at, places[at], null[at]));
            of_answers(examples, &given)
        };
        assert_eq!(of(&differ, [1, 1], [None; 2]), Some(Constant::Answer("x".into())));
        assert_eq!(of(&differ, [1, 2], [None; 2]), None);
        assert_eq!(of(&differ, [1, 2], [Some(true); 2]), Some(Constant::NoAnswer));
        assert_eq!(of(&differ, [1, 1], [Some(true), Some(false)]), None);
        let alike = [question(Some(&["x"])), question(Some(&["x"]))];
        assert_eq!(of(&alike, [2, 2], [None; 2]), None);
        assert_eq!(of(&[question(None), question(Some(&["y"]))], [1, 1], [None; 2]), None);
        let row = |end| Example::new(vec![1; 3], Target::Span { start: 1, end }, 1);
        assert_eq!(of(&[row(1), row(2)], [2, 2], [None; 2]), Some(Constant::Span(2, 2)));
        assert_eq!(of(&[row(1), row(1)], [2, 2], [None; 2]), None);
    }
}

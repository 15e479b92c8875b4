//! What is said of an adapter that predicts the same, whatever a row says.

use peft_core::{
    data::Labels,
    evaluate::{Constant, THRESHOLD},
};

use crate::output;

/// Warns of what is predicted for all rows, be it with a head that has a rate of its own or not.
pub fn warn(found: &Constant, labels: Option<&Labels>, has_head_lr: bool) {
    output::tell(format!("warning: {}", message(found, labels, has_head_lr)));
}

fn message(found: &Constant, labels: Option<&Labels>, has_head_lr: bool) -> String {
    let name = |class: usize| {
        let name = labels.and_then(|labels| labels.name(class));
        name.map_or_else(|| class.to_string(), str::to_string)
    };
    let longer = match has_head_lr {
        true => "train for more --epochs, or with another --lr or --head-lr",
        false => "train for more --epochs, or with another --lr",
    };
    match found {
        Constant::Class(class) => format!(
            "{} is predicted everywhere, although the rows differ: {longer}; where most rows are of one class, with \
             --class-weights balanced",
            name(*class)
        ),
        Constant::Tag(class) => format!(
            "every token is tagged {}, although the tags differ: {longer}; where other tags are rare, with \
             --class-weights balanced",
            name(*class)
        ),
        Constant::Classes(classes) if classes.is_empty() => format!(
            "no row gets a class, although rows have some: no probability is above {THRESHOLD}; {longer}"
        ),
        Constant::Classes(classes) => {
            let classes: Vec<String> = classes.iter().map(|class| name(*class)).collect();
            format!(
                "every row gets the classes {}, although the rows differ: {longer}",
                classes.join(", ")
            )
        }
        Constant::NoAnswer => format!(
            "no question gets an answer, although the answers differ: {longer}; with a larger \
             --null-score-diff-threshold more questions get one"
        ),
        Constant::Answer(text) => {
            format!(
                "every question gets the answer \"{text}\", although the answers differ: {longer}"
            )
        }
        Constant::Span(start, end) => format!(
            "every question is answered with the tokens {start} to {end} of its row, although the answers differ: {longer}"
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_constant_is_named() {
        let labels = Labels::from_list(vec!["O".into(), "B-PER".into()]).unwrap();
        for (found, says) in [
            (Constant::Class(1), "B-PER is predicted everywhere"),
            (Constant::Class(7), "7 is predicted everywhere"),
            (Constant::Tag(0), "every token is tagged O, although the tags differ: train for"),
            (Constant::Classes(vec![]), "no row gets a class"),
            (Constant::Classes(vec![0, 1]), "every row gets the classes O, B-PER, although"),
            (Constant::NoAnswer, "no question gets an answer"),
            (Constant::Answer("Oslo".into()), "every question gets the answer \"Oslo\", although"),
            (Constant::Span(1, 2), "answered with the tokens 1 to 2 of its row"),
        ] {
            for has_head_lr in [true, false] {
                let message = message(&found, Some(&labels), has_head_lr);
                assert!(message.contains(says) && message.contains("--epochs"), "{message}");
                assert_eq!(message.contains("another --lr or --head-lr"), has_head_lr);
            }
        }
    }
}

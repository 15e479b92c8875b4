//! Which messages a data set marks as not to be learnt.

use crate::text::{ordered::Ordered, record::describe};

/// Keys of a message that say whether it is learnt: of OpenAI and Mistral, of axolotl (two), of XTuner and ms-swift.
const MARKS: [&str; 4] = ["weight", "train", "training", "loss"];
/// Keys that say more than that: parts of a message, or how much it counts. `mask` may mean either.
const FINER: [&str; 6] =
    ["train_detail", "training_detail", "loss_scale", "loss_weight", "mask", "masked"];

/// What a message says of being learnt, if it does, or what is wrong with it.
pub(super) type Mark = Result<Option<bool>, String>;

/// Reads the mark of a message at `place`, or of a part of its content.
pub(super) fn mark(place: &str, fields: &Ordered) -> Mark {
    if let Some((key, _)) = FINER.iter().find_map(|key| Some((key, fields.get(key)?))) {
        return Err(format!(
            "field `{place}.{key}`: not followed here; `weight` says of a whole message whether it is learnt: 0 or 1"
        ));
    }
    let mut said: Option<(&str, bool)> = None;
    for key in MARKS {
        let learnt = match fields.get(key) {
            None => continue,
            Some(Ordered::Bool(learnt)) => *learnt,
            Some(Ordered::Number(number)) if number.as_f64() == Some(0.0) => false,
            Some(Ordered::Number(number)) if number.as_f64() == Some(1.0) => true,
            Some(other) => {
                let found = describe(&other.to_value());
                return Err(format!(
                    "field `{place}.{key}`: found {found}, expected 0 for a message that is not learnt, or 1"
                ));
            }
        };
        match said {
            Some((other, before)) if before != learnt => {
                return Err(format!(
                    "field `{place}`: `{other}` and `{key}` disagree on whether it is learnt"
                ));
            }
            _ => said = Some((key, learnt)),
        }
    }
    Ok(said.map(|(_, learnt)| learnt))
}

/// Refuses the mark of a message that is not the assistant's, and of parts.
pub(super) fn of_message(place: &str, fields: &Ordered, is_assistant: bool) -> Mark {
    if let Some(Ordered::Array(parts)) = fields.get("content").or(fields.get("value")) {
        for (i, part) in parts.iter().enumerate() {
            if mark(&format!("{place}.content[{i}]"), part)? == Some(false) && is_assistant {
                return Err(format!(
                    "field `{place}.content[{i}]`: a part that is not learnt: a message is learnt as a whole, or not, \
                     as its `weight` says: 0 or 1"
                ));
            }
        }
    }
    match mark(place, fields)? {
        Some(true) if !is_assistant => Err(format!(
            "field `{place}`: is marked as learnt, and is not the assistant's; what the assistant says is learnt, and \
             nothing else"
        )),
        mark => Ok(mark),
    }
}

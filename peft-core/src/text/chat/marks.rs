//! Which messages a data set marks as not to be learnt.

use crate::text::{ordered::Ordered, record::describe};

/// Keys of a message that say whether it is learnt: of OpenAI and Mistral, of axolotl (two), of XTuner and ms-swift.
const MARKS: [&str; 4] = [WEIGHT, "train", "training", LOSS];
/// It counts only for what the assistant says: of other messages, it may say anything.
const WEIGHT: &str = "weight";
/// Also the name of a loss that somebody measured.
const LOSS: &str = "loss";
/// Keys that say more than that: parts of a message, or how much it counts. `mask` may mean either.
const FINER: [&str; 6] =
    ["train_detail", "training_detail", "loss_scale", "loss_weight", "mask", "masked"];

/// What a message says of being learnt, if it does, or what is wrong with it.
pub(super) type Mark = Result<Option<bool>, String>;

/// Reads the mark of a message at `place`, or of a part of its content.
fn mark(place: &str, fields: &Ordered, is_assistant: bool) -> Mark {
    if let Some((key, _)) = FINER.iter().find_map(|key| Some((key, fields.get(key)?))) {
        return Err(format!(
            "field `{place}.{key}`: not followed here: remove `{key}`, and say of a whole message with `weight`, 0 or \
             1, whether it is learnt"
        ));
    }
    let mut said: Option<(&str, bool)> = None;
    for key in MARKS {
        let learnt = match fields.get(key) {
            None => continue,
            Some(_) if key == WEIGHT && !is_assistant => continue,
            Some(Ordered::Bool(learnt)) => *learnt,
            Some(Ordered::Number(number)) if number.as_f64() == Some(0.0) => false,
            Some(Ordered::Number(number)) if number.as_f64() == Some(1.0) => true,
            Some(other) if is_another_thing(key, other) => continue,
            Some(other) => {
                let found = describe(&other.to_value());
                return Err(format!(
                    "field `{place}.{key}`: found {found}, expected 0 for a message that is not learnt, or 1; remove \
                     `{key}` if it says another thing"
                ));
            }
        };
        match said {
            Some((other, before)) if before != learnt => {
                return Err(format!(
                    "field `{place}`: `{other}` and `{key}` disagree on whether it is learnt: remove one of them"
                ));
            }
            _ => said = Some((key, learnt)),
        }
    }
    Ok(said.map(|(_, learnt)| learnt))
}

/// Whether a value under the name of a mark is none in any tool: a measured loss, or losses, and a word such as the
/// `train` of a split.
fn is_another_thing(key: &str, value: &Ordered) -> bool {
    const SAY_SO: [&str; 6] = ["true", "false", "yes", "no", "on", "off"];
    match value {
        Ordered::Number(_) | Ordered::Array(_) => key == LOSS,
        Ordered::String(text) => {
            let text = text.trim().to_lowercase();
            text.parse::<f64>().is_err() && !SAY_SO.contains(&text.as_str())
        }
        _ => false,
    }
}

/// Reads the mark of a message, and refuses that of one that is not the assistant's, and of parts.
pub(super) fn of_message(place: &str, fields: &Ordered, is_assistant: bool) -> Mark {
    if let Some(Ordered::Array(parts)) = fields.get("content").or(fields.get("value")) {
        for (i, part) in parts.iter().enumerate() {
            let place = format!("{place}.content[{i}]");
            if mark(&place, part, is_assistant)? == Some(false) && is_assistant {
                return Err(format!(
                    "field `{place}`: a part that is not learnt: a message is learnt as a whole, or not, as its \
                     `weight` says, 0 or 1: give it one, and remove that of the part"
                ));
            }
        }
    }
    match mark(place, fields, is_assistant)? {
        Some(true) if !is_assistant => Err(format!(
            "field `{place}`: is marked as learnt, and is not the assistant's; what the assistant says is learnt, and \
             nothing else: remove the mark"
        )),
        mark => Ok(mark),
    }
}

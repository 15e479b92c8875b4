//! The end at which a folder's texts are truncated.

use tokenizers::{Tokenizer, TruncationDirection, TruncationParams};

use super::settings::Settings;
use crate::error::Result;

/// Turns a tokenizer's truncation off, but keeps its direction: `truncation_side` of the settings, else that of
/// `tokenizer.json`.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for a side that is neither `left` nor `right`.
pub(super) fn keep_side(
    tokenizer: &mut Tokenizer,
    of_json: Option<TruncationDirection>,
    settings: &Settings,
) -> Result<()> {
    let key = "truncation_side";
    let direction = match settings.text(key)? {
        None => of_json.unwrap_or_default(),
        Some("right") => TruncationDirection::Right,
        Some("left") => TruncationDirection::Left,
        Some(other) => {
            let message = format!("found {other:?}, expected \"left\" or \"right\"");
            return Err(settings.error(key, message));
        }
    };
    let params = TruncationParams { direction, max_length: usize::MAX, ..Default::default() };
    let kept = (direction == TruncationDirection::Left).then_some(params);
    tokenizer.with_truncation(kept).map_err(|error| settings.error(key, error.to_string()))?;
    Ok(())
}

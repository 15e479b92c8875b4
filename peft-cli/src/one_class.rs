//! What is said of an adapter that predicts one class, whatever a row says.

use peft_core::data::Labels;

use crate::output;

/// Warns that `class` is predicted everywhere.
pub fn warn(class: usize, labels: Option<&Labels>) {
    let name = labels.and_then(|labels| labels.name(class));
    let name = name.map_or_else(|| class.to_string(), str::to_string);
    output::tell(format!(
        "warning: {name} is predicted everywhere, although the rows differ: train for more --epochs, or with another --lr"
    ));
}

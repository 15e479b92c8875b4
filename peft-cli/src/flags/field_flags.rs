//! Fields of the methods' configs that are flags of another name.

use peft_core::Error;

/// Each field with its flag.
const FLAGS: [(&str, &str); 6] = [
    ("hidden_size", "--prefix-hidden-size"),
    ("dropout", "--prefix-dropout"),
    ("infix", "--infix"),
    ("encoder_hidden_size", "--encoder-hidden-size"),
    ("encoder_num_layers", "--encoder-num-layers"),
    ("encoder_dropout", "--encoder-dropout"),
];

/// Gives a field of a method's config the name of its flag.
pub fn as_flag(error: Error) -> Error {
    match error {
        Error::Setting { setting, message } => {
            let renamed = FLAGS.iter().find(|(field, _)| *field == setting);
            Error::setting(renamed.map_or(setting.as_str(), |(_, flag)| *flag), message)
        }
        other => other,
    }
}

//! Settings of two sources: what is given in the first takes precedence, also over what it excludes.

use super::Settings;

impl Settings {
    /// These settings, completed from `other`.
    #[must_use]
    pub fn or(self, mut other: Self) -> Self {
        // Steps and epochs exclude each other.
        if self.steps.is_some() || self.epochs.is_some() {
            (other.steps, other.epochs) = (None, None);
        }
        // So do rows of a file and held out ones.
        if self.valid.is_some() || self.valid_split.is_some() {
            (other.valid, other.valid_split) = (None, None);
        }
        // So do rows and tokens per batch.
        if self.batch_size.is_some() || self.batch_tokens.is_some() {
            (other.batch_size, other.batch_tokens) = (None, None);
        }
        // So do the two names of the words to tag, and those of their tags.
        if self.text_field.is_some() || self.tokens_field.is_some() {
            (other.text_field, other.tokens_field) = (None, None);
        }
        if self.label_field.is_some() || self.tags_field.is_some() {
            (other.label_field, other.tags_field) = (None, None);
        }
        // An encoder has settings of its own.
        if self.reparameterization.is_some() && self.reparameterization != other.reparameterization
        {
            other.encoder_hidden_size = None;
            (other.encoder_num_layers, other.encoder_dropout) = (None, None);
        }
        // A text is of the start that reads it.
        if self.init.as_deref().is_some_and(|init| !matches!(init, "text" | "words")) {
            other.init_text = None;
        }
        // Only tasks that are drawn have a temperature.
        if self.task_mixing.is_some() && self.task_mixing != other.task_mixing {
            other.task_temperature = None;
        }
        // An adapter to start from replaces other initial values.
        if self.init_adapter.is_some() && other.init_adapter.is_none() {
            (other.init, other.init_text, other.num_virtual_tokens) = (None, None, None);
        }
        self.each_or(other)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::flags::{method_name::MethodName, reparameterization::Reparameterization};

    #[test]
    fn flags_take_precedence_over_the_file() {
        let flags = Settings { lr: Some(0.5), ..Settings::default() };
        let file: Settings = toml::from_str("lr = 0.1\nsteps = 7\nmethod = \"ptv2\"").unwrap();
        let merged = flags.or(file);
        assert_eq!(
            (merged.lr, merged.steps, merged.method),
            (Some(0.5), Some(7), Some(MethodName::Ptv2))
        );
        let epochs = Settings { epochs: Some(2), ..Settings::default() }.or(merged.clone());
        assert_eq!((epochs.epochs, epochs.steps), (Some(2), None));
        let lstm = "reparameterization = \"lstm\"\nencoder_hidden_size = 8\nencoder_num_layers = 3";
        let lstm: Settings = toml::from_str(lstm).unwrap();
        let mlp =
            Settings { reparameterization: Some(Reparameterization::Mlp), ..Settings::default() };
        let merged_encoder = mlp.clone().or(lstm.clone());
        assert_eq!(merged_encoder, mlp, "the width and the layers are those of the LSTM");
        assert_eq!(Settings::default().or(lstm.clone()), lstm);
        let words: Settings = toml::from_str("init = \"words\"\ninit_text = \"sum up\"").unwrap();
        let of = |init: &str| Settings { init: Some(init.into()), ..Settings::default() };
        assert_eq!(of("random").or(words.clone()), of("random"));
        assert_eq!(of("words").or(words.clone()), words);
        let drawn: Settings =
            toml::from_str("task_mixing = \"drawn\"\ntask_temperature = 2.0").unwrap();
        let all = Settings { task_mixing: Some("all".into()), ..Settings::default() };
        assert_eq!(all.clone().or(drawn), all);
        let again: Settings = toml::from_str(&merged.to_toml()).unwrap();
        assert_eq!(again, merged);
        for names in [&["a.jsonl"][..], &["a.jsonl", "b.jsonl"]] {
            let train = Some(names.iter().map(PathBuf::from).collect());
            let several = Settings { train, ..Settings::default() };
            let written = several.to_toml();
            assert_eq!(written.contains('['), names.len() > 1, "{written}");
            assert_eq!(toml::from_str::<Settings>(&written).unwrap(), several);
        }
    }
}
